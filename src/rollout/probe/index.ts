export { parseProbeTargets, runProbeClient, runProbeServer, type ProbeClientOptions, type ProbeTarget } from "./probe.ts";
