{#- Whole days from one time to another, both with a time zone. -#}
{% macro days_between(earlier, later) -%}
  floor((epoch({{ later }}) - epoch({{ earlier }})) / 86400)::bigint
{%- endmacro %}

{#- Fractional days from one time to another. -#}
{% macro fractional_days_between(earlier, later) -%}
  ((epoch({{ later }}) - epoch({{ earlier }})) / 86400)
{%- endmacro %}
