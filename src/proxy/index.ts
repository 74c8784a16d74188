// The L7 data plane: listeners, routes, clusters. As a gateway today; sidecars and waypoints are the same with other listeners.
export { Proxy, type ProxyOptions } from "./proxy.ts";
export { readSettings, type ProxySettings, type SettingsSources } from "./proxy-settings.ts";
