import { ownField } from "../base/index.ts";
interface ProcessHelp {
  readonly does: string;
  /** The page in `docs/contracts` that describes its settings. */
  readonly page: string;
  /**
   * The words and flags that the process reads, and those that installations pass to its upstream counterpart. If
   * absent, the process itself checks its arguments.
   */
  readonly known?: { readonly words?: RegExp; readonly flags?: RegExp };
}

const processes: Readonly<Record<string, ProcessHelp>> = {
  cni: {
    does: "The agent of a node, which adds pods to the ambient mesh.",
    page: "cni.md",
    known: {
      words: /^install$/,
      flags:
        /^(ambient|chained|cni|ctrlz|delete|enable|exclude|iptables|kube|label|log|monitoring|mounted|native|repair|run|skip|update|vklog|zds)(?![A-Za-z])/,
    },
  },
  ztunnel: {
    does: "The L4 proxy of a node, for pods of the ambient mesh.",
    page: "ztunnel.md",
    known: { words: /^(proxy|ztunnel)$/ },
  },
  proxy: {
    does: "The L7 proxy: sidecar, gateway or waypoint.",
    page: "data-planes.md",
    known: {
      words: /^(proxy|sidecar|router|ingress|waypoint|ztunnel)$/,
      flags:
        /^(binaryPath|concurrency|configPath|connectTimeout|controlPlane\w+|controlPlaneBootstrap|ctrlz_\w+|disableInternalTelemetry|discoveryAddress|dnsRefreshRate|domain|drainDuration|id|ip|lightstep\w+|log_\w+|meshConfig|mixerIdentity|outlierLogPath|parentShutdownDuration|profiling|proxy\w+|serviceCluster|serviceregistry|statsdUdpAddress|statusPort|stsPort|templateFile|tokenManagerPlugin|trust-domain|v|vklog|zipkinAddress)$/,
    },
  },
  pilot: { does: "The control plane.", page: "pilot.md" },
  rollout: { does: "The rollout engine.", page: "rollout.md", known: { words: /^removal$/ } },
  probe: {
    does: "The client and server that a mesh upgrade measures with.",
    page: "rollout.md",
    known: { words: /^(server|client)$/ },
  },
  kiali: {
    does: "The dashboard's server.",
    page: "addons.md",
    known: { flags: /^(config|traffic|v|logtostderr|alsologtostderr|stderrthreshold)$/ },
  },
  grafana: {
    does: "The server of the lab's graphs.",
    page: "addons.md",
    known: { words: /^server$/, flags: /^(homepath|config|packaging|cfg)(?![A-Za-z])/ },
  },
  prometheus: {
    does: "The server of the lab's metrics.",
    page: "addons.md",
    known: {
      flags: /^(agent|alertmanager|auto-\w+|config|enable-feature|log|query|rules|scrape|storage|web)(?![A-Za-z])/,
    },
  },
  "prometheus-reloader": {
    does: "Reloads the metrics server when its settings change.",
    page: "addons.md",
    known: {
      flags: /^(config|delay|listen|log|process|reload|retry|runtimeinfo|volume|watch|watched|web|webhook)(?![A-Za-z])/,
    },
  },
  "cluster-apiserver": { does: "The API server of a lab.", page: "lab.md" },
  "cluster-controllers": { does: "The controllers of a lab.", page: "lab.md" },
  "cluster-launcher": { does: "Makes the namespaces of a lab.", page: "lab.md" },
  "cluster-supervisor": { does: "Starts the processes of a lab, and restarts them.", page: "lab.md" },
  "cluster-node": { does: "A node of a lab, which runs pods.", page: "lab.md" },
};

/**
 * The help of a process that only installations and labs start. Undefined unless the arguments are one word that asks
 * for help.
 */
export function processHelp(name: string, args: readonly string[]): string | undefined {
  const help = ownField(processes, name);
  if (help === undefined || args.length !== 1 || !["--help", "-h", "help"].includes(args[0] ?? "")) return undefined;
  return `serin ${name}: ${help.does}\n\nInstallations and labs start this process. Its arguments, variables and ports:\ndocs/contracts/${help.page}\n`;
}

/** The arguments that neither the process nor its upstream counterpart knows, so that they have no effect. */
export function strayArguments(name: string, args: readonly string[]): string[] {
  const known = ownField(processes, name)?.known;
  // The proxy's init containers and hooks have other arguments.
  if (known === undefined || (name === "proxy" && /^(wait|request|istio-iptables)$/.test(args[0] ?? ""))) return [];
  return args.filter((argument, index) => {
    const [, flag] = /^--?([^=]+)/.exec(argument) ?? [];
    if (flag !== undefined) return known.flags?.test(flag) !== true;
    const before = args[index - 1] ?? "";
    const isValue = before.startsWith("-") && !before.includes("=");
    return !isValue && known.words?.test(argument) !== true;
  });
}
