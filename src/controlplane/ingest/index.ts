export { ConfigMapIngest } from "./config-map-ingest.ts";
export { fetchText } from "./fetch-text.ts";
export { GatewayNames } from "./gateway-names.ts";
export { KeySetIngest } from "./key-set-ingest.ts";
export { MeshConfigFile, MeshNetworksFile } from "./mesh-config-file.ts";
export { MeshIngest } from "./mesh-ingest.ts";
export { RemoteClusters, type ClusterState, type RemoteClient, type RemoteClustersOptions } from "./remote-clusters.ts";
export { SecretIngest } from "./secret-ingest.ts";
export { ServedVersionClient } from "./served-version-client.ts";
