{#- Whole days from one time to another, both with a time zone. -#}
{% macro days_between(earlier, later) -%}
  floor((epoch({{ later }}) - epoch({{ earlier }})) / 86400)::bigint
{%- endmacro %}

{#- Fractional days from one time to another. -#}
{% macro fractional_days_between(earlier, later) -%}
  ((epoch({{ later }}) - epoch({{ earlier }})) / 86400)
{%- endmacro %}

{#-
  The time as of which features are built, for a model that is evaluated on what came after; none for features of all
  rows. The runner sets DBT_ENV_CUSTOM_ENV_RECSAAS_AS_OF.
-#}
{% macro as_of_time() -%}
  {%- set as_of = dbt_metadata_envs.get('RECSAAS_AS_OF') -%}
  {{- return(adapter.escape_sql_string(as_of) if as_of else none) -}}
{%- endmacro %}

{#- Whether a row may be seen. -#}
{% macro before_as_of(column) -%}
  {%- set as_of = as_of_time() -%}
  {%- if as_of -%}{{ column }} < '{{ as_of }}'::timestamptz{%- else -%}true{%- endif -%}
{%- endmacro %}
