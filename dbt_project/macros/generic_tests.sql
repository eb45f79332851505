{#- Rows whose combination of columns is there more than once, or has a null in it. -#}
{% test unique_key(model, columns) %}
select {{ columns | join(', ') }}, count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1 or {% for column in columns %}{{ column }} is null{% if not loop.last %} or {% endif %}{% endfor %}
{% endtest %}

{#- Rows whose value lies outside [at_least, at_most]. A null passes. -#}
{% test between(model, column_name, at_least=none, at_most=none) %}
select {{ column_name }}
from {{ model }}
where
  false
  {% if at_least is not none %}or {{ column_name }} < {{ at_least }}{% endif %}
  {% if at_most is not none %}or {{ column_name }} > {{ at_most }}{% endif %}
{% endtest %}
