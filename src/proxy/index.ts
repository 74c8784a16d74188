// The L7 data plane: listeners, routes and clusters. It runs as a gateway, a sidecar or a waypoint, which differ by
// their listeners.
export { redirectMark } from "./data-path.ts";
export { connectionsPerThread } from "./listener/connection-room.ts";
export { podEndFolder } from "./agent/pod-end-folder.ts";
export { Proxy, type ProxyOptions } from "./proxy.ts";
export { podHistogramBuckets } from "./observe/histogram-buckets.ts";
export { randomUuids } from "./terms/random-id.ts";
export { readCertificateFile } from "./tls/bounded-file.ts";
export { readSettings, type ProxySettings } from "./proxy-settings.ts";
