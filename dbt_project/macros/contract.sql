{#-
  What a row of a raw table breaks of the data contract, as `column.rule`, or null. Uploads and events are checked when
  they come; what an earlier version has let in must not fail a run, so staging leaves it out, and stg_rejected says why.
  Codes are those of an upload's report. A deletion needs only what it names: one that names nothing does nothing.
-#}
{% macro broken_by_item(rows) -%}
  case
    when {{ not_an_id(rows ~ '.item_id') }} then 'item_id.not_an_id'
    when coalesce({{ rows }}.deleted, false) then null
    when {{ rows }}.title is null or not regexp_matches({{ rows }}.title, '\S') then 'title.empty' -- a title may be a book
    when not isfinite({{ rows }}.price) then 'price.not_a_number'
    when {{ rows }}.price < 0 then 'price.negative'
    when {{ not_a_time(rows ~ '.created_at') }} then 'created_at.not_a_time'
  end
{%- endmacro %}

{% macro broken_by_user(rows) -%}
  case when {{ not_an_id(rows ~ '.user_id') }} then 'user_id.not_an_id' end
{%- endmacro %}

{% macro broken_by_interaction(rows) -%}
  case
    when coalesce({{ rows }}.deleted, false) then null
    when {{ not_an_id(rows ~ '.user_id') }} then 'user_id.not_an_id'
    when {{ not_an_id(rows ~ '.item_id') }} then 'item_id.not_an_id'
    when {{ rows }}.interaction_type is null or {{ rows }}.interaction_type not in {{ interaction_types() }}
      then 'interaction_type.unknown'
    when {{ rows }}.timestamp is null or {{ not_a_time(rows ~ '.timestamp') }} then 'timestamp.not_a_time'
    when {{ rows }}.timestamp < '1990-01-01 00:00:00+00'::timestamptz then 'timestamp.before_1990'
    when {{ rows }}.timestamp > {{ rows }}.received_at + interval 1 day then 'timestamp.in_the_future'
    when not isfinite({{ rows }}.rating) then 'rating.not_a_number'
    when {{ rows }}.interaction_type = 'rating' and {{ rows }}.rating is null then 'rating.missing'
    when not isfinite({{ rows }}.duration_seconds) then 'duration_seconds.not_a_number'
    when {{ rows }}.duration_seconds < 0 then 'duration_seconds.negative'
    when not isfinite({{ rows }}.quantity) then 'quantity.not_a_number'
    when {{ rows }}.quantity < 0 and {{ rows }}.interaction_type not in {{ types_with_pieces() }} then 'quantity.negative'
    when not isfinite({{ rows }}.price) then 'price.not_a_number'
    when {{ rows }}.price < 0 then 'price.negative'
  end
{%- endmacro %}

{% macro not_an_id(column) -%}
  coalesce(trim({{ column }}), '') = '' or strlen({{ column }}) > 256
{%- endmacro %}

{#- Other programs, Python among them, know the years 1 to 9999. -#}
{% macro not_a_time(column) -%}
  (not isfinite({{ column }}) or {{ column }} < '0001-01-01 00:00:00+00'::timestamptz
  or {{ column }} >= '9999-12-31 23:59:59.999999+00'::timestamptz + interval 1 microsecond)
{%- endmacro %}

{% macro interaction_types() -%}
  ('view', 'click', 'add_to_cart', 'purchase', 'rating', 'like', 'dislike')
{%- endmacro %}

{#- Types of which pieces are counted, so that a quantity below 0 takes some back. -#}
{% macro types_with_pieces() -%}
  ('purchase', 'add_to_cart')
{%- endmacro %}

{#- Interactions that keep the contract; a query in brackets, so that only the columns in use are read. -#}
{% macro usable_interactions() -%}
  (select * from {{ source('lake', 'raw_interactions') }} as sent where ({{ broken_by_interaction('sent') }}) is null)
{%- endmacro %}
