/** What the lab says that it is: of its API server, nodes and the images of their parts. The generated types and schemas are of the same minor version. */
export const kubernetesVersion = "v1.36.3";
