with

interactions as (

    select * from {{ ref('stg_interactions') }}

),

lines as (

    select
        user_id,
        item_id,
        interaction_type,
        price,
        {{ pieces_of('interactions') }} as pieces
    from interactions
    where interaction_type in {{ types_with_pieces() }}

),

netted as (

    select
        user_id,
        item_id,
        interaction_type,
        count(*) filter (where pieces > 0) as lines_taken,
        coalesce(sum(pieces) filter (where pieces > 0), 0) as pieces_taken,
        coalesce(-sum(pieces) filter (where pieces < 0), 0) as pieces_returned,
        coalesce(sum(price * pieces) filter (where pieces > 0), 0) as amount_taken,
        coalesce(sum(price) filter (where pieces > 0), 0) as prices_taken,
        count(price) filter (where pieces > 0) as lines_with_price
    from lines
    group by user_id, item_id, interaction_type

),

-- What comes back without having been taken in these data takes nothing else away.
shares as (

    select
        *,
        case when pieces_taken > pieces_returned then 1 - pieces_returned / pieces_taken else 0 end as kept_share
    from netted

)

select
    user_id,
    item_id,
    interaction_type,
    lines_taken,
    pieces_taken,
    pieces_returned,
    kept_share,
    -- The rounding takes the last digit of a division off: two thirds of three lines are two.
    ceil(round(lines_taken * kept_share, 9))::bigint as lines_kept,
    case when kept_share > 0 then amount_taken * kept_share else 0 end as amount_kept,
    prices_taken,
    lines_with_price
from shares
