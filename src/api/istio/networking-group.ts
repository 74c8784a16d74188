export const networkingGroup = "networking.istio.io";
/** The versions of those kinds that upstream serves in all three versions with the same schema. */
export const networkingVersions = ["v1", "v1beta1", "v1alpha3"] as const;
