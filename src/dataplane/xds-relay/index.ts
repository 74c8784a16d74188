// Passes discovery streams of a pod's other processes on to the control plane.
export { XdsRelay } from "./xds-relay.ts";
