{#-
  In place of dbt-duckdb's `external`, which writes one all-NULL row when a model has none. A tenant without
  interactions is an everyday tenant: its files have the right columns and zero rows. The query's rows go straight into
  the file: a table in between would have to fit into memory.
-#}
{% materialization external, adapter="duckdb" %}
  {%- set view = this.incorporate(type='view') -%}
  {%- set table = make_intermediate_relation(this.incorporate(type='table')) -%}

  {{ run_hooks(pre_hooks) }}

  {% if tenant_folder('STAGING') %}
    {%- set file = external_location(this, config) -%}
    {#- Compares the columns with the model's contract. -#}
    {{ get_assert_columns_equivalent(sql) }}
    {% call statement('main') -%}
      copy (
        select * from ({{ get_select_subquery(sql) }})
        {% if as_of_time() %}order by all{% endif %}
      ) to '{{ file }}' (format parquet, compression zstd)
    {%- endcall %}
    {%- do run_query('create or replace view ' ~ view ~ " as select * from read_parquet('" ~ file ~ "')") -%}
  {% else %}
    {% call statement('main') -%}
      {{ create_table_as(False, table, sql) }}
    {%- endcall %}
    {%- do run_query('create or replace view ' ~ view ~ ' as select * from ' ~ table) -%}
  {% endif %}

  {{ run_hooks(post_hooks) }}
  {%- do adapter.commit() -%}
  {{ return({'relations': [view]}) }}
{% endmaterialization %}
