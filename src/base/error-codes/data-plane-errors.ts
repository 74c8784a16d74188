import type { ErrorEntry } from "./error-entry.ts";

export const dataPlaneErrors = {
  "config-rejected": {
    meaning: "A proxy does not support a part of its configuration, or the part is not valid.",
    remedy: "Change the object that the part came from. `serin proxy-status` names it.",
  },
  "config-missing": {
    meaning: "A ConfigMap, a Secret or a setting that is referred to does not exist.",
    remedy: "Create the missing object or setting, or correct the reference.",
  },
  "xds-invalid": {
    meaning: "A ztunnel cannot use a resource of its configuration.",
    remedy: "Check that the control plane's version fits the ztunnel's.",
  },
  "no-cluster": {
    meaning: "The proxy has no cluster of this name.",
    remedy: "Check the Service or ServiceEntry that the route forwards to.",
  },
  "no-endpoint": {
    meaning: "The destination has no endpoint that can be used.",
    remedy: "Check that the destination has ready pods.",
  },
  "no-listener": {
    meaning: "The proxy has no internal listener of this name.",
    remedy: "Check that the waypoint's configuration is complete.",
  },
  switched: {
    meaning: "The server switched to another protocol, which this client does not speak.",
    remedy: "Check the server.",
  },
  "bad-filter-edit": {
    meaning: "A filter changed a request or response to something that cannot be sent.",
    remedy: "Correct the filter, script or module.",
  },
  "authorization-failed": {
    meaning: "The external authorization service did not answer as expected.",
    remedy: "Look at the authorization service.",
  },
  "rate-limit-failed": {
    meaning: "The rate limit service did not answer as expected.",
    remedy: "Look at the rate limit service.",
  },
  "export-refused": {
    meaning: "The collector of traces or logs refused an export.",
    remedy: "Check the collector's address and limits.",
  },
  "secret-service-failed": {
    meaning: "An SDS provider refused or ended the proxy's stream, or sent a message that the proxy does not read.",
    remedy: "Check that the provider's service serves Envoy's secret discovery on the port. Look at its log.",
  },
  "module-invalid": {
    meaning: "A WebAssembly module or its configuration cannot be used.",
    remedy: "Correct the module, its URL or its configuration.",
  },
  "module-unreachable": {
    meaning: "A WebAssembly module could not be fetched.",
    remedy: "Check the URL, the credentials and the checksum.",
  },
  "module-failed": {
    meaning: "A WebAssembly module failed while it ran, or has ended.",
    remedy: "Look at the proxy's log. `failStrategy` says what requests get.",
  },
  "lua-failed": {
    meaning: "A Lua script used an object outside of its scope, or did not start.",
    remedy: "Correct the script.",
  },
  "control-plane-unreachable": {
    meaning: "A data plane has no connection to the control plane.",
    remedy: "Check that istiod runs and that its Service is reachable.",
  },
  "destination-unknown": {
    meaning: "No route leads to the destination.",
    remedy: "Check that the destination's workload, network and waypoint exist.",
  },
  "no-port": {
    meaning: "The destination does not have the port.",
    remedy: "Check the ports of the Service.",
  },
  "source-unknown": {
    meaning: "The ztunnel does not know the workload from which the connection comes.",
    remedy: "Wait until the control plane has sent the pod to the ztunnel. If the error lasts, look at istiod's log.",
  },
  "authority-invalid": {
    meaning: "A CONNECT request names an address that is invalid, or that does not belong to the pod that received it.",
    remedy: "Check the client's data plane.",
  },
  "self-call": {
    meaning: "A waypoint's destination leads back to the waypoint.",
    remedy: "Check the labels that select the waypoint.",
  },
  "worker-ended": {
    meaning: "A worker thread has ended, or a call in it failed.",
    remedy: "Look at the process's log. The process starts another worker thread.",
  },
  "zds-invalid": {
    meaning: "A message between the CNI agent and a ztunnel cannot be read.",
    remedy: "Check that the agent and the ztunnel have compatible versions.",
  },
  "ztunnel-gone": {
    meaning: "The connection between the CNI agent and a ztunnel has ended.",
    remedy: "Look at the ztunnel's log.",
  },
  "ztunnel-refused": {
    meaning: "A ztunnel refused a request.",
    remedy: "Look at the ztunnel's log.",
  },
  "no-ztunnel": {
    meaning: "No ztunnel runs where one is needed.",
    remedy: "Look at the DaemonSet of the ztunnel.",
  },
  "cni-failed": {
    meaning: "A CNI plugin failed, or the CNI agent does not answer yet.",
    remedy: "Look at the log of the CNI agent on the node.",
  },
  "pod-namespace": {
    meaning: "The network namespace of a pod cannot be found or used.",
    remedy: "Check that the CNI agent sees the node's network namespaces.",
  },
  "pod-not-captured": {
    meaning: "The traffic of the pod does not go through a ztunnel.",
    remedy: "Look at the CNI agent's log for the pod.",
  },
  "pod-not-served": {
    meaning: "A ztunnel's workers could not take over the pod.",
    remedy: "Look at the ztunnel's log.",
  },
  "sockets-held": {
    meaning:
      "A port that the pod's ztunnel needs is in use, by a program of the pod or a ztunnel that is not connected.",
    remedy: "Let the program use another port. For a ztunnel, wait, or delete its pod.",
  },
  "redirect-missing": {
    meaning: "The pod's traffic is not redirected to its sidecar.",
    remedy: "Check that the init container or the CNI plugin ran for the pod.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
