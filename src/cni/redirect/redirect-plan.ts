import { userError } from "../../base/index.ts";
import type { RedirectOptions } from "./redirect-options.ts";
import { ownMark, ruleOf, tcp, transparentMark, type RedirectCondition, type RedirectRule } from "./redirect-rule.ts";
import { planTransparent } from "./transparent-plan.ts";

const dnsPort = 53;
const dnsCapturePort = 15_053;
const loopback = ["127.0.0.1/32", "::1/128"] as const;
/** The source addresses of the proxy's connections to its own application. */
const proxyToApplication = ["127.0.0.6/32", "::6/128"] as const;
const onLoopback: RedirectCondition = { kind: "output", interface: "lo" };

/**
 * The maximum number of rules of a pod. A kernel transaction holds about ten thousand rules. The author of a pod
 * chooses the lists in the options, and rules for all pairs of two long lists would fill the memory of the node's
 * agent.
 */
const maxRules = 4_096;

/**
 * Returns the rules in order. The first matching rule decides. If no rule matches, the packet passes. Throws a user
 * error if there are more than {@link maxRules} rules.
 */
export function planRedirect(options: RedirectOptions): RedirectRule[] {
  const rules: RedirectRule[] = [];
  for (const rule of rulesOf(options)) {
    if (rules.length === maxRules)
      throw userError("argument-invalid", `the redirect of this pod's traffic has more than ${maxRules} rules`, {
        hint: "name fewer ports, IP ranges and interfaces, for example wider ranges",
      });
    rules.push(rule);
  }
  return rules;
}

function* rulesOf(options: RedirectOptions): Generator<RedirectRule> {
  if (options.mode === "NONE") return;
  if (options.mode === "TPROXY") yield* planTransparent(options);
  yield* inbound(options);
  yield* outbound(options);
}

function* inbound(options: RedirectOptions): Generator<RedirectRule> {
  const rule = ruleOf("prerouting");
  const { inboundPorts, inboundPort, outboundPort, outboundRanges } = options;
  for (const name of options.excludedInterfaces) yield rule(undefined, { kind: "input", interface: name });
  for (const name of options.guestInterfaces) {
    const from: RedirectCondition = { kind: "input", interface: name };
    if (outboundRanges === "*") yield rule(outboundPort, from, tcp);
    else for (const range of outboundRanges) yield rule(outboundPort, from, { kind: "destination", range }, tcp);
    yield rule(undefined, from);
  }
  if (options.mode === "TPROXY") return;
  yield rule(undefined, tcp, { kind: "port", port: options.tunnelPort });
  if (inboundPorts === "*") {
    for (const port of options.excludedInboundPorts) yield rule(undefined, tcp, { kind: "port", port });
    yield rule(inboundPort, tcp);
  } else for (const port of inboundPorts) yield rule(inboundPort, tcp, { kind: "port", port });
}

function* outbound(options: RedirectOptions): Generator<RedirectRule> {
  const rule = ruleOf("output");
  const { outboundPort, outboundRanges, dnsServers } = options;
  for (const name of options.excludedInterfaces) yield rule(undefined, { kind: "output", interface: name });
  if (options.mode === "TPROXY") yield rule(undefined, { kind: "mark", mark: transparentMark });
  for (const port of options.excludedOutboundPorts) {
    for (const protocol of ["tcp", "udp"] as const)
      yield rule(undefined, { kind: "protocol", protocol }, { kind: "port", port });
  }
  for (const range of proxyToApplication) yield rule(undefined, onLoopback, { kind: "source", range });
  yield* ofProxy(options);
  const notDns: readonly RedirectCondition[] =
    dnsServers.length === 0 ? [] : [tcp, { kind: "port", port: dnsPort, not: true }];
  // Let connections of the application to its pod's own address bypass the proxy.
  if (!includesLoopback(outboundRanges)) yield rule(undefined, onLoopback, ...notDns);
  yield* dnsCapture(options);
  for (const range of loopback) yield rule(undefined, { kind: "destination", range });
  for (const range of options.excludedOutboundRanges) yield rule(undefined, { kind: "destination", range });
  for (const port of options.outboundPorts) yield rule(outboundPort, tcp, { kind: "port", port });
  if (outboundRanges === "*") yield rule(outboundPort, tcp);
  else for (const range of outboundRanges) yield rule(outboundPort, { kind: "destination", range }, tcp);
}

/**
 * Makes the rules for the proxy's own traffic. It passes, except to the pod's own address: if the application calls its
 * own Service, the proxy's connection must arrive as an inbound connection.
 */
function* ofProxy(options: RedirectOptions): Generator<RedirectRule> {
  const { proxyUsers, proxyGroups, inboundPort, tunnelPort, dnsServers } = options;
  const rule = ruleOf("output");
  const isProxy: readonly RedirectCondition[] = [
    ...proxyUsers.map((id) => ({ kind: "uid", id }) as const),
    ...proxyGroups.map((id) => ({ kind: "gid", id }) as const),
    { kind: "mark", mark: ownMark(options.mode) },
  ];
  const notDns: readonly RedirectCondition[] =
    dnsServers.length === 0 ? [] : [{ kind: "port", port: dnsPort, not: true }];
  for (const proxy of isProxy)
    for (const range of loopback)
      yield rule(
        inboundPort,
        onLoopback,
        { kind: "destination", range, not: true },
        tcp,
        { kind: "port", port: tunnelPort, not: true },
        ...notDns,
        proxy,
      );
  for (const proxy of isProxy) yield rule(undefined, proxy);
}

function* dnsCapture({ dnsServers }: RedirectOptions): Generator<RedirectRule> {
  const servers: readonly RedirectCondition[][] =
    dnsServers === "*" ? [[]] : dnsServers.map((server) => [{ kind: "destination", range: server }]);
  for (const protocol of ["udp", "tcp"] as const)
    for (const server of servers)
      yield ruleOf("output")(
        dnsCapturePort,
        ...server,
        { kind: "protocol", protocol },
        { kind: "port", port: dnsPort },
      );
}

function includesLoopback(ranges: RedirectOptions["outboundRanges"]): boolean {
  return ranges !== "*" && ranges.some((range) => range.startsWith("127.") || range.startsWith("::1/"));
}
