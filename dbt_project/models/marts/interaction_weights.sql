with

signals as (

    select * from {{ ref('int_interaction_signals') }}

),

-- What was taken back nets the purchases of its pair out, and none of its other signals.
returned as (

    select
        user_id,
        item_id,
        interaction_type,
        kept_share
    from {{ ref('int_kept_lines') }}
    where kept_share < 1

),

netted as (

    select
        signals.user_id,
        signals.item_id,
        signals.interaction_type,
        signals.timestamp,
        signals.signal * coalesce(returned.kept_share, 1) as signal
    from signals
    left join returned
        on signals.user_id = returned.user_id
        and signals.item_id = returned.item_id
        and signals.interaction_type = returned.interaction_type

),

settings as (

    select * from {{ source('lake', 'tenant_settings') }}

),

pairs as (

    select
        user_id,
        item_id,
        sum(signal) as signal,
        count(*) as interaction_count,
        max(timestamp) as last_timestamp,
        bool_or(interaction_type = 'dislike') as is_disliked
    from netted
    group by user_id, item_id

),

-- A dislike anywhere in the pair's history removes the pair, whatever else happened. Less than a millionth is what is
-- left of sums that come to nothing; pair_weights in recsaas_assets/recommender/data/dataset.py has the same bound.
weights as (

    select
        pairs.user_id,
        pairs.item_id,
        least(pairs.signal, settings.weight_cap) as weight,
        pairs.interaction_count,
        pairs.last_timestamp
    from pairs
    cross join settings
    where not pairs.is_disliked and pairs.signal >= 1e-6

)

select * from weights
