{#-
  Pieces of a row of a type of which pieces are counted: below 0 they are taken back, 0 is nothing, and a row that does
  not say is of one piece. Null for other types. Bounded, so that sums are numbers.
-#}
{% macro pieces_of(rows) -%}
  case
    when {{ rows }}.interaction_type in {{ types_with_pieces() }}
      then least(greatest(coalesce({{ rows }}.quantity, 1), -1e12), 1e12)
  end
{%- endmacro %}

{#- Whether a row only takes pieces back, or is of none: nobody has shown interest by it. -#}
{% macro takes_back(rows) -%}
  coalesce(({{ pieces_of(rows) }}) <= 0, false)
{%- endmacro %}
