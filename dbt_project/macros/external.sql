{#-
  In place of dbt-duckdb's `external`, which writes one all-NULL row when a model has none. A tenant without
  interactions is an everyday tenant: its files have the right columns and zero rows.
-#}
{% materialization external, adapter="duckdb" %}
  {%- set view = this.incorporate(type='view') -%}
  {%- set table = make_intermediate_relation(this.incorporate(type='table')) -%}

  {{ run_hooks(pre_hooks) }}

  {% call statement('main') -%}
    {{ create_table_as(False, table, sql) }}
  {%- endcall %}

  {% if tenant_folder('STAGING') %}
    {%- set file = external_location(this, config) -%}
    {%- do run_query('copy ' ~ table ~ " to '" ~ file ~ "' (format parquet, compression zstd)") -%}
    {%- do run_query('drop table ' ~ table) -%}
    {%- do run_query('create or replace view ' ~ view ~ " as select * from read_parquet('" ~ file ~ "')") -%}
  {% else %}
    {%- do run_query('create or replace view ' ~ view ~ ' as select * from ' ~ table) -%}
  {% endif %}

  {{ run_hooks(post_hooks) }}
  {%- do adapter.commit() -%}
  {{ return({'relations': [view]}) }}
{% endmaterialization %}
