/**
 * The version that the lab reports for its API server, its nodes and the images of their parts. The generated types and
 * schemas are from the same minor version.
 */
export const kubernetesVersion = "v1.36.3";
