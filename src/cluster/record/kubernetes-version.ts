/**
 * The Kubernetes version that the lab reports for its API server, its nodes and the images of its components. The
 * generated types and schemas come from the same minor version.
 */
export const kubernetesVersion = "v1.36.3";
