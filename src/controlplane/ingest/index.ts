// Reads the sources of the mesh and checks them: objects, files, key sets and other clusters.
export { ConfigMapIngest } from "./config-map-ingest.ts";
export { fetchText, fetchTextWithin } from "./fetch-text.ts";
export { GatewayNames } from "./gateway-names.ts";
export { KeySetIngest } from "./key-set-ingest.ts";
export { keySetRoots } from "./key-set-roots.ts";
export { MeshConfigFile, MeshNetworksFile } from "./mesh-config-file.ts";
export { MeshIngest } from "./mesh-ingest.ts";
export { multiClusterKinds } from "./multi-cluster-feeds.ts";
export { RemoteClusters, type ClusterState, type RemoteClient, type RemoteClustersOptions } from "./remote-clusters.ts";
export { PullSecretIngest } from "./pull-secret-ingest.ts";
export { SecretIngest } from "./secret-ingest.ts";
export { ServedVersionClient } from "./served-version-client.ts";
export { type RefusedObject, RefusedObjects, refusedId } from "./refused-objects.ts";
