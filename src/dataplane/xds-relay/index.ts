// Passes discovery streams of a pod's other processes on to the control plane.
export { XdsRelay, type XdsRelayOptions } from "./xds-relay.ts";
