import { parseArgs } from "node:util";
import { envBoolean, messageOf, truncated, userError, type Environment } from "../../base/index.ts";
import { transparentMark, transparentTable, type InterceptionMode } from "./redirect-rule.ts";

/** Which traffic of a pod passes through its sidecar. */
export interface RedirectOptions {
  readonly mode: InterceptionMode;
  readonly outboundPort: number;
  readonly inboundPort: number;
  readonly tunnelPort: number;
  /** The user ids of the proxy's process. The traffic of these users is not redirected. */
  readonly proxyUsers: readonly number[];
  readonly proxyGroups: readonly number[];
  /** The inbound ports to redirect. `*` means all ports except the excluded ones. */
  readonly inboundPorts: "*" | readonly number[];
  readonly excludedInboundPorts: readonly number[];
  /** Outbound ports that are redirected whatever the destination is. */
  readonly outboundPorts: readonly number[];
  readonly excludedOutboundPorts: readonly number[];
  readonly outboundRanges: "*" | readonly string[];
  readonly excludedOutboundRanges: readonly string[];
  readonly excludedInterfaces: readonly string[];
  /**
   * Interfaces to guests, such as virtual machines. Traffic that arrives there is treated as outbound traffic of the
   * pod.
   */
  readonly guestInterfaces: readonly string[];
  /**
   * The name servers whose DNS queries are redirected to the proxy. `*` means all queries. An empty list means none.
   */
  readonly dnsServers: "*" | readonly string[];
}

/** A command of `istio-iptables`: the options of the redirect, and what to do with it. */
export interface RedirectCommand {
  readonly options: RedirectOptions;
  readonly dryRun: boolean;
  readonly skipApply: boolean;
  readonly validate: boolean;
  readonly clean: boolean;
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

/** The flags of upstream's `istio-iptables`. Flags that have no effect in Serin are accepted and ignored. */
const flags = {
  "envoy-port": { ...text, short: "p" },
  "inbound-capture-port": { ...text, short: "z" },
  "inbound-tunnel-port": { ...text, short: "e" },
  "proxy-uid": { ...text, short: "u" },
  "proxy-gid": { ...text, short: "g" },
  "istio-inbound-interception-mode": { ...text, short: "m" },
  "istio-inbound-ports": { ...text, short: "b" },
  "istio-local-exclude-ports": { ...text, short: "d" },
  "istio-exclude-interfaces": { ...text, short: "c" },
  "istio-service-cidr": { ...text, short: "i" },
  "istio-service-exclude-cidr": { ...text, short: "x" },
  "istio-outbound-ports": { ...text, short: "q" },
  "istio-local-outbound-ports-exclude": { ...text, short: "o" },
  "kube-virt-interfaces": { ...text, short: "k" },
  "istio-inbound-tproxy-mark": { ...text, short: "t" },
  "istio-inbound-tproxy-route-table": { ...text, short: "r" },
  "iptables-probe-port": text,
  "probe-timeout": text,
  log_output_level: text,
  "network-namespace": text,
  "force-iptables-binary": text,
  "dry-run": { ...flag, short: "n" },
  "skip-rule-apply": flag,
  "run-validation": flag,
  "redirect-dns": flag,
  "capture-all-dns": flag,
  "drop-invalid": flag,
  "dual-stack": flag,
  "cni-mode": flag,
  reconcile: flag,
  "cleanup-only": flag,
  "force-apply": flag,
  "native-nftables": flag,
  log_as_json: flag,
} as const;

const proxyUser = "1337";

/**
 * Reads the arguments and environment of `istio-iptables`. Throws a user error that names the flag if a value is
 * invalid. `resolvConf` is the content of /etc/resolv.conf.
 */
export function readRedirectCommand(args: readonly string[], env: Environment, resolvConf: string): RedirectCommand {
  const values = parseFlags(args);
  const given = (name: keyof typeof flags, fallback: string): string => {
    const value = values[name];
    return typeof value === "string" ? value : fallback;
  };
  const mode = modeOf(given("istio-inbound-interception-mode", ""));
  if (mode === "TPROXY") checkTransparentFlags(given);
  const users = given("proxy-uid", proxyUser);
  const inboundPorts = given("istio-inbound-ports", "");
  const dns = values["redirect-dns"] === true || envBoolean(env, "ISTIO_META_DNS_CAPTURE", false);
  return {
    options: {
      mode,
      outboundPort: portOf("-p", given("envoy-port", "15001")),
      inboundPort: portOf("-z", given("inbound-capture-port", "15006")),
      tunnelPort: portOf("-e", given("inbound-tunnel-port", "15008")),
      proxyUsers: numbersOf("-u", users),
      proxyGroups: numbersOf("-g", given("proxy-gid", users)),
      inboundPorts: inboundPorts === "*" ? "*" : portsOf("-b", inboundPorts),
      excludedInboundPorts: portsOf("-d", given("istio-local-exclude-ports", "")),
      outboundPorts: portsOf("-q", given("istio-outbound-ports", "")),
      excludedOutboundPorts: portsOf("-o", given("istio-local-outbound-ports-exclude", "")),
      outboundRanges: given("istio-service-cidr", "") === "*" ? "*" : rangesOf("-i", given("istio-service-cidr", "")),
      excludedOutboundRanges: rangesOf("-x", given("istio-service-exclude-cidr", "")),
      excludedInterfaces: wordsOf(given("istio-exclude-interfaces", "")),
      guestInterfaces: wordsOf(given("kube-virt-interfaces", "")),
      dnsServers: !dns ? [] : values["capture-all-dns"] === true ? "*" : nameservers(resolvConf),
    },
    dryRun: values["dry-run"] === true,
    skipApply: values["skip-rule-apply"] === true,
    validate: values["run-validation"] === true,
    clean: values["cleanup-only"] === true,
  };
}

/**
 * The TLS port and the plain-text port of the control plane. The library that opens the proxy's streams to them cannot
 * mark the connections.
 */
const controlPlanePorts = [15_012, 15_010] as const;

/**
 * Adapts the options to the users of the machine (/proc/self/uid_map). If the proxy's uid is not among them, the
 * proxy's connections are recognized by a mark. The proxy's streams to the control plane cannot be marked, so their
 * ports are exempt.
 */
export function adaptToUsers(options: RedirectOptions, uidMap: string): RedirectOptions {
  const ranges = uidMap
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  const exists = (uid: number): boolean =>
    ranges.some(([first = 0, , count = 0]) => uid >= first && uid < first + count);
  if (options.proxyUsers.every(exists)) return options;
  return { ...options, excludedOutboundPorts: [...options.excludedOutboundPorts, ...controlPlanePorts] };
}

function parseFlags(args: readonly string[]): Readonly<Record<string, string | boolean | undefined>> {
  try {
    return parseArgs({ args: [...args], options: flags, allowPositionals: false }).values;
  } catch (error) {
    throw userError("argument-invalid", `istio-iptables: ${shown(messageOf(error))}`);
  }
}

function modeOf(text: string): InterceptionMode {
  if (text === "") return "REDIRECT";
  if (text === "REDIRECT" || text === "TPROXY" || text === "NONE") return text;
  throw userError("argument-invalid", `interception mode (-m) must be REDIRECT, TPROXY or NONE, got "${shown(text)}"`);
}

/**
 * Checks the flags of mode TPROXY. The control plane sends the mark to proxies, so a flag with another mark is refused.
 */
function checkTransparentFlags(given: (name: keyof typeof flags, fallback: string) => string): void {
  const fixed = [
    ["-t", given("istio-inbound-tproxy-mark", ""), transparentMark],
    ["-r", given("istio-inbound-tproxy-route-table", ""), transparentTable],
  ] as const;
  for (const [flag, value, only] of fixed) {
    if (value !== "" && value !== String(only))
      throw userError("unsupported", `${flag} ${shown(value)} is not supported: remove it, or set ${only}`);
  }
}

/**
 * Returns a value for a message, cut to a maximum length. The author of a pod chooses the value, and the agent logs the
 * message.
 */
function shown(value: string): string {
  return truncated(value, maxShownCharacters);
}

const maxShownCharacters = 256;

function wordsOf(list: string): string[] {
  return list
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

function numbersOf(name: string, list: string): number[] {
  return wordsOf(list).map((word) => {
    if (!/^\d+$/.test(word))
      throw userError("argument-invalid", `${name} must be numbers separated by commas, got "${shown(list)}"`);
    return Number(word);
  });
}

const maxPort = 65_535;

function portsOf(name: string, list: string): number[] {
  return wordsOf(list).map((word) => portOf(name, word));
}

function portOf(name: string, word: string): number {
  const port = Number(word);
  if (!/^\d+$/.test(word) || port > maxPort)
    throw userError("argument-invalid", `${name} must be a port from 0 to ${maxPort}, got "${shown(word)}"`);
  return port;
}

function rangesOf(name: string, list: string): string[] {
  return wordsOf(list).map((word) => {
    if (!/^[0-9a-fA-F:.]+\/\d{1,3}$/.test(word))
      throw userError(
        "argument-invalid",
        `${name} must be IP ranges such as 10.0.0.0/8, or * for all (only for -i), got "${shown(word)}"`,
      );
    return word;
  });
}

function nameservers(resolvConf: string): string[] {
  return [...resolvConf.matchAll(/^\s*nameserver\s+([0-9a-fA-F:.]+)/gm)].map((found) => found[1] ?? "");
}
