"""The choice of a tenant's LightGCN configuration: candidates that span the space, halved on the validation period."""
