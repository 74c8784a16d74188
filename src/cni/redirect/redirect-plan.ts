import type { RedirectOptions } from "./redirect-options.ts";

/** One rule of the redirect: the first packets of connections that it matches, and what happens to them. */
export interface RedirectRule {
  readonly chain: "prerouting" | "output";
  readonly when: readonly RedirectCondition[];
  /** A port of this pod. Undefined: the packet passes unchanged. */
  readonly to: number | undefined;
}

export type RedirectCondition =
  | { readonly kind: "protocol"; readonly protocol: "tcp" | "udp" }
  | { readonly kind: "port"; readonly port: number; readonly not?: boolean }
  | { readonly kind: "source" | "destination"; readonly range: string; readonly not?: boolean }
  | { readonly kind: "input" | "output"; readonly interface: string }
  | { readonly kind: "uid" | "gid"; readonly id: number }
  | { readonly kind: "mark" };

/** Marks the proxy's own connections on machines where the uid cannot distinguish them. */
export const proxyMark = { value: 0x539, mask: 0xfff } as const;

const dnsPort = 53;
const dnsCapturePort = 15_053;
const loopback = ["127.0.0.1/32", "::1/128"] as const;
/** The proxy connects to its own application from these addresses. */
const proxyToApplication = ["127.0.0.6/32", "::6/128"] as const;

const tcp: RedirectCondition = { kind: "protocol", protocol: "tcp" };
const onLoopback: RedirectCondition = { kind: "output", interface: "lo" };

/** The rules in order. The first match decides. Without a match the packet passes. */
export function planRedirect(options: RedirectOptions): RedirectRule[] {
  if (options.mode === "NONE") return [];
  return [...inbound(options), ...outbound(options)];
}

function inbound(options: RedirectOptions): RedirectRule[] {
  const rule = (to: number | undefined, ...when: readonly RedirectCondition[]): RedirectRule => ({
    chain: "prerouting",
    when,
    to,
  });
  const { inboundPorts, inboundPort, outboundPort, outboundRanges } = options;
  const rules = options.excludedInterfaces.map((name) => rule(undefined, { kind: "input", interface: name }));
  for (const name of options.guestInterfaces) {
    const from: RedirectCondition = { kind: "input", interface: name };
    if (outboundRanges === "*") rules.push(rule(outboundPort, from, tcp));
    else for (const range of outboundRanges) rules.push(rule(outboundPort, from, { kind: "destination", range }, tcp));
    rules.push(rule(undefined, from));
  }
  rules.push(rule(undefined, tcp, { kind: "port", port: options.tunnelPort }));
  if (inboundPorts === "*") {
    for (const port of options.excludedInboundPorts) rules.push(rule(undefined, tcp, { kind: "port", port }));
    rules.push(rule(inboundPort, tcp));
  } else for (const port of inboundPorts) rules.push(rule(inboundPort, tcp, { kind: "port", port }));
  return rules;
}

function outbound(options: RedirectOptions): RedirectRule[] {
  const rule = (to: number | undefined, ...when: readonly RedirectCondition[]): RedirectRule => ({
    chain: "output",
    when,
    to,
  });
  const { outboundPort, outboundRanges, dnsServers } = options;
  const rules = options.excludedInterfaces.map((name) => rule(undefined, { kind: "output", interface: name }));
  for (const port of options.excludedOutboundPorts) {
    for (const protocol of ["tcp", "udp"] as const)
      rules.push(rule(undefined, { kind: "protocol", protocol }, { kind: "port", port }));
  }
  for (const range of proxyToApplication) rules.push(rule(undefined, onLoopback, { kind: "source", range }));
  rules.push(...ofProxy(options));
  const notDns: readonly RedirectCondition[] =
    dnsServers.length === 0 ? [] : [tcp, { kind: "port", port: dnsPort, not: true }];
  // An application that calls its pod's own address bypasses the proxy.
  if (!includesLoopback(outboundRanges)) rules.push(rule(undefined, onLoopback, ...notDns));
  rules.push(...dnsCapture(options));
  for (const range of loopback) rules.push(rule(undefined, { kind: "destination", range }));
  for (const range of options.excludedOutboundRanges) rules.push(rule(undefined, { kind: "destination", range }));
  for (const port of options.outboundPorts) rules.push(rule(outboundPort, tcp, { kind: "port", port }));
  if (outboundRanges === "*") rules.push(rule(outboundPort, tcp));
  else for (const range of outboundRanges) rules.push(rule(outboundPort, { kind: "destination", range }, tcp));
  return rules;
}

/**
 * The proxy's traffic passes, except to its own pod's address: an application that calls its own Service comes in
 * again.
 */
function ofProxy({ proxyUsers, proxyGroups, inboundPort, tunnelPort, dnsServers }: RedirectOptions): RedirectRule[] {
  const isProxy: readonly RedirectCondition[] = [
    ...proxyUsers.map((id) => ({ kind: "uid", id }) as const),
    ...proxyGroups.map((id) => ({ kind: "gid", id }) as const),
    { kind: "mark" },
  ];
  const notDns: readonly RedirectCondition[] =
    dnsServers.length === 0 ? [] : [{ kind: "port", port: dnsPort, not: true }];
  const toItself = isProxy.flatMap((proxy) =>
    loopback.map((range): RedirectRule => ({
      chain: "output",
      when: [
        onLoopback,
        { kind: "destination", range, not: true },
        tcp,
        { kind: "port", port: tunnelPort, not: true },
        ...notDns,
        proxy,
      ],
      to: inboundPort,
    })),
  );
  return [...toItself, ...isProxy.map((proxy): RedirectRule => ({ chain: "output", when: [proxy], to: undefined }))];
}

function dnsCapture({ dnsServers }: RedirectOptions): RedirectRule[] {
  const servers: readonly RedirectCondition[][] =
    dnsServers === "*" ? [[]] : dnsServers.map((server) => [{ kind: "destination", range: server }]);
  return (["udp", "tcp"] as const).flatMap((protocol) =>
    servers.map((server): RedirectRule => ({
      chain: "output",
      when: [...server, { kind: "protocol", protocol }, { kind: "port", port: dnsPort }],
      to: dnsCapturePort,
    })),
  );
}

function includesLoopback(ranges: RedirectOptions["outboundRanges"]): boolean {
  return ranges !== "*" && ranges.some((range) => range.startsWith("127.") || range.startsWith("::1/"));
}

/** Formats the rules in the syntax of nft(8). */
export function describeRedirect(rules: readonly RedirectRule[]): string {
  const chains = (["prerouting", "output"] as const).map((chain) => {
    const lines = rules
      .filter((rule) => rule.chain === chain)
      .map(
        (rule) =>
          `    ${[...rule.when.map(describeCondition), rule.to === undefined ? "accept" : `redirect to :${rule.to}`].join(" ")}\n`,
      );
    return `  chain ${chain} {\n    type nat hook ${chain} priority -100;\n${lines.join("")}  }\n`;
  });
  return `table inet ${redirectTable} {\n${chains.join("")}}\n`;
}

export const redirectTable = "serin-sidecar";

function describeCondition(condition: RedirectCondition): string {
  const unless = "not" in condition && condition.not === true ? "!= " : "";
  switch (condition.kind) {
    case "protocol":
      return `meta l4proto ${condition.protocol}`;
    case "port":
      return `th dport ${unless}${condition.port}`;
    case "source":
    case "destination":
      return `${condition.range.includes(":") ? "ip6" : "ip"} ${condition.kind === "source" ? "saddr" : "daddr"} ${unless}${condition.range}`;
    case "input":
      return `iifname "${condition.interface}"`;
    case "output":
      return `oifname "${condition.interface}"`;
    case "uid":
      return `meta skuid ${condition.id}`;
    case "gid":
      return `meta skgid ${condition.id}`;
    case "mark":
      return `meta mark and 0x${proxyMark.mask.toString(16)} == 0x${proxyMark.value.toString(16)}`;
  }
}
