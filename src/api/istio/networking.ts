export const networkingGroup = "networking.istio.io";
/** Versions of the kinds that upstream serves in all three, with the same schema. */
export const networkingVersions = ["v1", "v1beta1", "v1alpha3"] as const;
