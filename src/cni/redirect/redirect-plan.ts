import type { RedirectOptions } from "./redirect-options.ts";
import { ownMark, ruleOf, tcp, transparentMark, type RedirectCondition, type RedirectRule } from "./redirect-rule.ts";
import { planTransparent } from "./transparent-plan.ts";

const dnsPort = 53;
const dnsCapturePort = 15_053;
const loopback = ["127.0.0.1/32", "::1/128"] as const;
/** The proxy connects to its own application from these addresses. */
const proxyToApplication = ["127.0.0.6/32", "::6/128"] as const;
const onLoopback: RedirectCondition = { kind: "output", interface: "lo" };

/** The rules in order. The first matching rule decides. Without a match the packet passes. */
export function planRedirect(options: RedirectOptions): RedirectRule[] {
  if (options.mode === "NONE") return [];
  const transparent = options.mode === "TPROXY" ? planTransparent(options) : [];
  return [...transparent, ...inbound(options), ...outbound(options)];
}

function inbound(options: RedirectOptions): RedirectRule[] {
  const rule = ruleOf("prerouting");
  const { inboundPorts, inboundPort, outboundPort, outboundRanges } = options;
  const rules = options.excludedInterfaces.map((name) => rule(undefined, { kind: "input", interface: name }));
  for (const name of options.guestInterfaces) {
    const from: RedirectCondition = { kind: "input", interface: name };
    if (outboundRanges === "*") rules.push(rule(outboundPort, from, tcp));
    else for (const range of outboundRanges) rules.push(rule(outboundPort, from, { kind: "destination", range }, tcp));
    rules.push(rule(undefined, from));
  }
  if (options.mode === "TPROXY") return rules;
  rules.push(rule(undefined, tcp, { kind: "port", port: options.tunnelPort }));
  if (inboundPorts === "*") {
    for (const port of options.excludedInboundPorts) rules.push(rule(undefined, tcp, { kind: "port", port }));
    rules.push(rule(inboundPort, tcp));
  } else for (const port of inboundPorts) rules.push(rule(inboundPort, tcp, { kind: "port", port }));
  return rules;
}

function outbound(options: RedirectOptions): RedirectRule[] {
  const rule = ruleOf("output");
  const { outboundPort, outboundRanges, dnsServers } = options;
  const rules = options.excludedInterfaces.map((name) => rule(undefined, { kind: "output", interface: name }));
  if (options.mode === "TPROXY") rules.push(rule(undefined, { kind: "mark", mark: transparentMark }));
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
 * The proxy's traffic passes, except to its own pod's address, because a call of the application to its own Service
 * must arrive as an inbound connection.
 */
function ofProxy(options: RedirectOptions): RedirectRule[] {
  const { proxyUsers, proxyGroups, inboundPort, tunnelPort, dnsServers } = options;
  const rule = ruleOf("output");
  const isProxy: readonly RedirectCondition[] = [
    ...proxyUsers.map((id) => ({ kind: "uid", id }) as const),
    ...proxyGroups.map((id) => ({ kind: "gid", id }) as const),
    { kind: "mark", mark: ownMark(options.mode) },
  ];
  const notDns: readonly RedirectCondition[] =
    dnsServers.length === 0 ? [] : [{ kind: "port", port: dnsPort, not: true }];
  const toItself = isProxy.flatMap((proxy) =>
    loopback.map((range) =>
      rule(
        inboundPort,
        onLoopback,
        { kind: "destination", range, not: true },
        tcp,
        { kind: "port", port: tunnelPort, not: true },
        ...notDns,
        proxy,
      ),
    ),
  );
  return [...toItself, ...isProxy.map((proxy) => rule(undefined, proxy))];
}

function dnsCapture({ dnsServers }: RedirectOptions): RedirectRule[] {
  const servers: readonly RedirectCondition[][] =
    dnsServers === "*" ? [[]] : dnsServers.map((server) => [{ kind: "destination", range: server }]);
  return (["udp", "tcp"] as const).flatMap((protocol) =>
    servers.map((server) =>
      ruleOf("output")(dnsCapturePort, ...server, { kind: "protocol", protocol }, { kind: "port", port: dnsPort }),
    ),
  );
}

function includesLoopback(ranges: RedirectOptions["outboundRanges"]): boolean {
  return ranges !== "*" && ranges.some((range) => range.startsWith("127.") || range.startsWith("::1/"));
}
