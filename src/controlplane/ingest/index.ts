export { ConfigMapIngest } from "./config-map-ingest.ts";
export { fetchText } from "./fetch-text.ts";
export { KeySetIngest } from "./key-set-ingest.ts";
export { MeshConfigFile } from "./mesh-config-file.ts";
export { MeshIngest } from "./mesh-ingest.ts";
export { SecretIngest } from "./secret-ingest.ts";
export { ServedVersionClient } from "./served-version-client.ts";
