{#-
  One number for the place of a row among all rows of its kind, the later the greater: by the arrival of its upload, then
  deletions before the other rows, then by line.
-#}
{% macro place_of(arrival, rows) -%}
  {{ arrival }}::hugeint * 18446744073709551616
  + (not coalesce({{ rows }}.deleted, false))::hugeint * 9223372036854775808
  + {{ rows }}.row_number
{%- endmacro %}
