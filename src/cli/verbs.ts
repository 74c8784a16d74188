import type { Command } from "commander";
import type { CliContext } from "./context.ts";

/** A top-level verb. Its code is loaded only when it runs, so that help and small verbs start quickly. */
export interface Verb {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** One line for the list of verbs. */
  readonly summary: string;
  /** It runs until the user ends it, so no progress is shown. */
  readonly runsOn?: boolean;
  /** Adds the verb to the program. One module may add several verbs. Absent for verbs of other roles. */
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
    summary: "remove one revision, or everything",
    load: async () => (await import("./installation/uninstall.ts")).uninstallCommand,
  },
  {
    name: "manifest",
    summary: "the objects of an installation as YAML",
    load: async () => (await import("./installation/manifest.ts")).manifestCommands,
  },
  {
    name: "gateway-api",
    summary: "install the Gateway API's definitions into the cluster",
    load: async () => (await import("./installation/gateway-api.ts")).gatewayApiCommands,
  },
  {
    name: "profile",
    summary: "the installation profiles",
    load: async () => (await import("./installation/profile.ts")).profileCommands,
  },
  {
    name: "operator",
    summary: "an operator in the cluster that installs IstioOperator objects",
    load: async () => (await import("./installation/operator.ts")).operatorCommands,
  },
  {
    name: "charts",
    summary: "Helm charts of this release",
    runsOn: true,
    load: async () => (await import("./charts/charts-command.ts")).chartCommands,
  },
  {
    name: "image",
    summary: "this release's images, into archives, container runtimes and registries",
    load: async () => (await import("./image/image-command.ts")).imageCommands,
  },
  {
    name: "tag",
    summary: "revision tags: names that point to a revision and can move to another",
    load: async () => (await import("./installation/tag.ts")).tagCommands,
  },
  {
    name: "canary",
    summary: "roll out an application step by step, judged by evidence",
    load: async () => (await import("./rollouts/verbs.ts")).canaryCommands,
  },
  {
    name: "check",
    summary: "checks: what they measure, and when they pass or fail",
    load: async () => (await import("./rollouts/checks.ts")).checkCommands,
  },
  {
    name: "freeze",
    summary: "times in which no rollout begins a step",
    load: async () => (await import("./rollouts/freezes.ts")).freezeCommands,
  },
  {
    name: "top",
    summary: "the busiest workloads, services or namespaces, live",
    runsOn: true,
    load: async () => (await import("./top/top-command.ts")).topCommand,
  },
  {
    name: "graph",
    summary: "who calls whom: rates, errors, latencies, configured and measured weights",
    runsOn: true,
    load: async () => (await import("./graph/graph-command.ts")).graphCommand,
  },
  {
    name: "version",
    summary: "the versions of the command line, of control planes and of data planes",
    load: async () => (await import("./control-planes/version.ts")).versionCommand,
  },
  {
    name: "proxy-status",
    aliases: ["ps"],
    summary: "connected proxies and what they have acknowledged; for one pod, the differences",
    load: async () => (await import("./proxies/status.ts")).statusCommands,
  },
  {
    name: "proxy-config",
    aliases: ["pc"],
    summary: "the configuration of a sidecar, gateway or waypoint",
    load: async () => (await import("./proxy-config/index.ts")).proxyConfigCommands,
  },
  {
    name: "ztunnel-config",
    aliases: ["zc"],
    summary: "the configuration of a ztunnel",
    load: async () => (await import("./proxies/ztunnel-config.ts")).ztunnelConfigCommands,
  },
  {
    name: "waypoint",
    summary: "L7 proxies of ambient namespaces, services and pods",
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
    summary: "check whether the mesh would accept files",
    load: async () => (await import("./user-manifests/validate.ts")).validateCommand,
  },
  {
    name: "dashboard",
    aliases: ["dash", "d"],
    summary: "the mesh in a browser: graph, ladder, rollouts, evidence; and pages of pods",
    runsOn: true,
    load: async () => (await import("./dashboard/index.ts")).dashboardCommands,
  },
  {
    name: "experimental",
    aliases: ["x", "exp"],
    summary: "precheck, describe, check-inject, authz check and others",
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
    summary: "the log levels of control planes",
    load: async () => (await import("./control-planes/admin.ts")).adminCommands,
  },
  {
    name: "remote-clusters",
    summary: "the clusters that each control plane watches",
    load: async () => (await import("./control-planes/remote-clusters.ts")).remoteClustersCommand,
  },
  {
    name: "create-remote-secret",
    summary: "credentials for another cluster's control plane to read this cluster",
    load: async () => (await import("./control-planes/create-remote-secret.ts")).createRemoteSecretCommand,
  },
  {
    name: "bug-report",
    summary: "collect objects, logs and states of a mesh in an archive",
    load: async () => (await import("./bug-report/index.ts")).bugReportCommand,
  },
  {
    name: "alias",
    summary: "make the command line answer as istioctl too",
    load: async () => (await import("./alias.ts")).aliasCommand,
  },
  {
    name: "completion",
    summary: "a script that completes verbs and flags in a shell",
    load: async () => (await import("./completion.ts")).completionCommands,
  },
  { name: "cluster", summary: "lab clusters on this machine: create, delete, list, shell" },
  { name: "release", summary: "the releases that a lab cluster can run" },
  {
    name: "doctor",
    summary: "what this machine lacks for a lab cluster; with --kubernetes, what a cluster lacks for the mesh",
  },
];
