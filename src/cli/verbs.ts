import type { Command } from "commander";
import type { CliContext } from "./context.ts";

/** A top-level verb. Its code is loaded only when it runs, so that help and small verbs start quickly. */
export interface Verb {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  /** Whether the verb runs until the user ends it. Then no progress is shown. */
  readonly runsOn?: boolean;
  /**
   * Loads the code of the verb, and returns the function that adds the verb to the program. A module may add several
   * verbs. Absent for verbs of other roles.
   */
  readonly load?: () => Promise<(program: Command, context: CliContext) => void>;
}

/** Every verb, in the order of the help. */
export const verbs: readonly Verb[] = [
  {
    name: "install",
    aliases: ["apply"],
    summary: "install a mesh from a profile, files and flags",
    load: async () => (await import("./installation/install.ts")).installCommands,
  },
  {
    name: "verify-install",
    summary: "check that all objects of an installation exist and are ready",
    load: async () => (await import("./installation/install.ts")).verifyInstallCommand,
  },
  {
    name: "upgrade",
    summary: "replace the installed release, or move the mesh to another revision step by step",
    load: async () => (await import("./rollouts/verbs.ts")).upgradeCommands,
  },
  {
    name: "uninstall",
    summary: "remove one revision, or every revision",
    load: async () => (await import("./installation/uninstall.ts")).uninstallCommand,
  },
  {
    name: "manifest",
    summary: "print, compare or translate the objects of an installation",
    load: async () => (await import("./installation/manifest.ts")).manifestCommands,
  },
  {
    name: "gateway-api",
    summary: "install the Gateway API's definitions into the cluster",
    load: async () => (await import("./installation/gateway-api.ts")).gatewayApiCommands,
  },
  {
    name: "profile",
    summary: "list, print or compare the installation profiles",
    load: async () => (await import("./installation/profile.ts")).profileCommands,
  },
  {
    name: "operator",
    summary: "install or remove the controller that reconciles IstioOperator objects",
    load: async () => (await import("./installation/operator.ts")).operatorCommands,
  },
  {
    name: "charts",
    summary: "serve, package or render this release's Helm charts",
    runsOn: true,
    load: async () => (await import("./charts/charts-command.ts")).chartCommands,
  },
  {
    name: "image",
    summary: "list, save, load or push this release's images",
    load: async () => (await import("./image/image-command.ts")).imageCommands,
  },
  {
    name: "tag",
    summary: "manage revision tags: names that point to a revision and can move to another",
    load: async () => (await import("./installation/tag.ts")).tagCommands,
  },
  {
    name: "canary",
    summary: "roll out an application step by step; checks judge each step",
    load: async () => (await import("./rollouts/verbs.ts")).canaryCommands,
  },
  {
    name: "check",
    summary: "explain, run or list the checks that judge rollouts",
    load: async () => (await import("./rollouts/checks.ts")).checkCommands,
  },
  {
    name: "freeze",
    summary: "manage freezes: times in which no rollout starts a step",
    load: async () => (await import("./rollouts/freezes.ts")).freezeCommands,
  },
  {
    name: "top",
    summary: "show the busiest workloads, services or namespaces, and refresh every second",
    runsOn: true,
    load: async () => (await import("./top/top-command.ts")).topCommand,
  },
  {
    name: "graph",
    summary: "show which workloads call each other, with rates, errors, latencies, and configured and measured weights",
    runsOn: true,
    load: async () => (await import("./graph/graph-command.ts")).graphCommand,
  },
  {
    name: "version",
    summary: "show the versions of the command line, the control planes and the data planes",
    load: async () => (await import("./control-planes/version.ts")).versionCommand,
  },
  {
    name: "proxy-status",
    aliases: ["ps"],
    summary: "list the connected proxies and their sync status, or compare one proxy with its control plane",
    load: async () => (await import("./proxies/status.ts")).statusCommands,
  },
  {
    name: "proxy-config",
    aliases: ["pc"],
    summary: "show the configuration of a sidecar, gateway or waypoint",
    load: async () => (await import("./proxy-config/index.ts")).proxyConfigCommands,
  },
  {
    name: "ztunnel-config",
    aliases: ["zc"],
    summary: "show the configuration of a ztunnel",
    load: async () => (await import("./proxies/ztunnel-config.ts")).ztunnelConfigCommands,
  },
  {
    name: "waypoint",
    summary: "manage waypoints, the L7 proxies of ambient namespaces, services and pods",
    load: async () => (await import("./proxies/waypoint.ts")).waypointCommands,
  },
  {
    name: "analyze",
    summary: "find problems in files and in the cluster",
    load: async () => (await import("./user-manifests/analyze.ts")).analyzeCommand,
  },
  {
    name: "validate",
    aliases: ["v"],
    summary: "check whether the control plane would accept the objects in files",
    load: async () => (await import("./user-manifests/validate.ts")).validateCommand,
  },
  {
    name: "dashboard",
    aliases: ["dash", "d"],
    summary: "open the mesh's dashboard, or the web page of an add-on or pod, in a browser",
    runsOn: true,
    load: async () => (await import("./dashboard/index.ts")).dashboardCommands,
  },
  {
    name: "experimental",
    aliases: ["x", "exp"],
    summary: "run verbs that may still change: precheck, describe, check-inject, authz check and others",
    load: async () => (await import("./experimental/index.ts")).experimentalCommands,
  },
  {
    name: "kube-inject",
    summary: "add the sidecar to the workloads of a file",
    load: async () => (await import("./user-manifests/kube-inject.ts")).kubeInjectCommand,
  },
  {
    name: "admin",
    aliases: ["istiod"],
    summary: "show or change the log levels of control planes",
    load: async () => (await import("./control-planes/admin.ts")).adminCommands,
  },
  {
    name: "remote-clusters",
    summary: "list the clusters that each control plane watches",
    load: async () => (await import("./control-planes/remote-clusters.ts")).remoteClustersCommand,
  },
  {
    name: "create-remote-secret",
    summary: "print a Secret that lets another cluster's control plane read this cluster",
    load: async () => (await import("./control-planes/create-remote-secret.ts")).createRemoteSecretCommand,
  },
  {
    name: "bug-report",
    summary: "collect objects, logs and states of a mesh in an archive",
    load: async () => (await import("./bug-report/index.ts")).bugReportCommand,
  },
  {
    name: "alias",
    summary: "install this command line under the name istioctl too",
    load: async () => (await import("./alias.ts")).aliasCommand,
  },
  {
    name: "completion",
    summary: "print a shell script that completes verbs and flags",
    load: async () => (await import("./completion.ts")).completionCommands,
  },
  { name: "cluster", summary: "create, delete, list or enter lab clusters on this machine" },
  { name: "release", summary: "build, list or export the releases that a lab cluster can run" },
  {
    name: "doctor",
    summary:
      "check whether this machine can run a lab cluster, or with --kubernetes whether a cluster can run the mesh",
  },
];
