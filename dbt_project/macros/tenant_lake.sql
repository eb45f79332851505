{#-
  Where one tenant's files are, and how much memory its run may take. The runner sets these variables before each
  invocation:

      DBT_ENV_CUSTOM_ENV_RECSAAS_RAW        folder of the raw files
      DBT_ENV_CUSTOM_ENV_RECSAAS_MODELS     folder of the models as last published
      DBT_ENV_CUSTOM_ENV_RECSAAS_STAGING    folder this run writes into
      DBT_ENV_CUSTOM_ENV_RECSAAS_SPILL      folder for what does not fit into memory
      DBT_ENV_CUSTOM_ENV_RECSAAS_MEMORY     bytes of memory for DuckDB
      DBT_ENV_CUSTOM_ENV_RECSAAS_ALONE      set: one thread, because a build with several has run out of memory
      DBT_ENV_CUSTOM_ENV_RECSAAS_AS_OF      only rows before this time count (macros/time.sql); usually not set

  dbt reads variables with this prefix when a run starts and does not compare them when it decides whether its
  partial parse is still good, so one parse serves every tenant. Without them there is no tenant: sources are empty
  and nothing is written, which is what unit tests and the documentation need.
-#}

{%- macro tenant_folder(name) -%}
  {%- set folder = dbt_metadata_envs.get('RECSAAS_' ~ name) -%}
  {{- return(adapter.escape_sql_string(folder) if folder else none) -}}
{%- endmacro -%}

{%- macro external_location(relation, config) -%}
  {{- return(tenant_folder('STAGING') ~ '/' ~ relation.identifier ~ '.parquet') -}}
{%- endmacro -%}

{#- A view per source, and per published model that this run does not build. -#}
{%- macro open_tenant_lake() -%}
  {%- if execute -%}
    {%- if tenant_folder('STAGING') -%}
      {%- do bound_memory() -%}
    {%- endif -%}
    {%- for source in graph.sources.values() -%}
      {%- do run_query('create schema if not exists ' ~ adapter.quote(source.schema)) -%}
      {%- do run_query('create or replace view ' ~ api.Relation.create(
            database=source.database, schema=source.schema, identifier=source.identifier
          ) ~ ' as ' ~ source_query(source)) -%}
    {%- endfor -%}
    {%- if tenant_folder('MODELS') -%}
      {%- do open_published_models() -%}
    {%- endif -%}
    {%- do adapter.commit() -%}
  {%- endif -%}
{%- endmacro -%}

{#- A tenant larger than memory is slow instead of killing its neighbours. -#}
{%- macro bound_memory() -%}
  {%- do run_query("set memory_limit = '" ~ tenant_folder('MEMORY') ~ "B'") -%}
  {%- do run_query("set temp_directory = '" ~ tenant_folder('SPILL') ~ "'") -%}
  {#- Rows have no order of their own in a model, and keeping one would keep them in memory. -#}
  {%- do run_query('set preserve_insertion_order = false') -%}
  {#- Two threads add in an order of their own, and the last digit of a sum depends on it; and each takes memory. -#}
  {%- if as_of_time() or dbt_metadata_envs.get('RECSAAS_ALONE') -%}
    {%- do run_query('set threads = 1') -%}
  {%- endif -%}
{%- endmacro -%}

{%- macro source_query(source) -%}
  {%- if tenant_folder('RAW') -%}
    {%- set file = tenant_folder('RAW') ~ '/' ~ source.meta.file ~ '.parquet' -%}
    {{- return("select * from read_parquet('" ~ file ~ "')") -}}
  {%- endif -%}
  {%- set columns = [] -%}
  {%- for column in source.columns.values() -%}
    {%- do columns.append('null::' ~ column.data_type ~ ' as ' ~ adapter.quote(column.name)) -%}
  {%- endfor -%}
  {{- return('select ' ~ columns | join(', ') ~ ' where false') -}}
{%- endmacro -%}

{%- macro open_published_models() -%}
  {%- set folder = tenant_folder('MODELS') -%}
  {%- set published = run_query("select file from glob('" ~ folder ~ "/*.parquet')").columns[0].values() -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.unique_id not in selected_resources -%}
    {%- set file = folder ~ '/' ~ node.alias ~ '.parquet' -%}
    {%- if file | replace("''", "'") in published -%}
      {%- do run_query('create or replace view ' ~ api.Relation.create(
            database=node.database, schema=node.schema, identifier=node.alias
          ) ~ " as select * from read_parquet('" ~ file ~ "')") -%}
    {%- endif -%}
  {%- endfor -%}
{%- endmacro -%}
