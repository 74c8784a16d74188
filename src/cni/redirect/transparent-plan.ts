import type { RedirectOptions } from "./redirect-options.ts";
import {
  tcp,
  transparentMark,
  type RedirectVerdict,
  type RedirectCondition,
  type RedirectRule,
} from "./redirect-rule.ts";

const pass: RedirectVerdict = { kind: "pass" };
const fromLoopback: RedirectCondition = { kind: "input", interface: "lo" };

/**
 * The rules of mode TPROXY. Inbound connections reach the proxy with unchanged addresses, and the proxy's connections
 * to the application have the client's address. The application's packets to that address must return to the proxy, so
 * the connection remembers the mark of the proxy's packets, and the application's get it too.
 */
export function planTransparent(options: RedirectOptions): RedirectRule[] {
  if (options.inboundPorts.length === 0) return [];
  return [...arriving(options), ...leaving(options)];
}

function arriving(options: RedirectOptions): RedirectRule[] {
  const rule = (verdict: RedirectVerdict, ...when: readonly RedirectCondition[]): RedirectRule => ({
    chain: "mark-prerouting",
    when,
    verdict,
  });
  const { inboundPorts, inboundPort, tunnelPort } = options;
  // While the proxy does not listen, no connection may bypass it to the application.
  const intercept = (...when: readonly RedirectCondition[]): RedirectRule[] => [
    rule({ kind: "intercept", port: inboundPort, mark: transparentMark }, ...when),
    rule({ kind: "drop" }, ...when),
  ];
  const rules = [...options.excludedInterfaces, ...options.guestInterfaces].map((name) =>
    rule(pass, { kind: "input", interface: name }),
  );
  rules.push(
    rule({ kind: "mark-connection", mark: transparentMark }, fromLoopback, tcp, {
      kind: "mark",
      mark: transparentMark,
    }),
    // Packets of the pod to itself pass. The chain `output` has redirected those that the proxy must see.
    rule(pass, fromLoopback),
    rule(pass, tcp, { kind: "port", port: tunnelPort }),
  );
  // This includes later packets, because the kernel does not track a connection that it opens with a SYN cookie. It
  // also includes SYNs that the kernel does not treat as the start of a connection, because a client has made it
  // believe that the pod opened one.
  const fromClients: readonly RedirectCondition[] = [{ kind: "opener" }, { kind: "start" }];
  if (inboundPorts === "*") {
    for (const port of options.excludedInboundPorts) rules.push(rule(pass, tcp, { kind: "port", port }));
    for (const condition of fromClients) rules.push(...intercept(tcp, condition));
  } else
    for (const port of inboundPorts)
      for (const condition of fromClients) rules.push(...intercept(tcp, { kind: "port", port }, condition));
  return rules;
}

function leaving(options: RedirectOptions): RedirectRule[] {
  const rule = (verdict: RedirectVerdict, ...when: readonly RedirectCondition[]): RedirectRule => ({
    chain: "mark-output",
    when,
    verdict,
  });
  return [
    ...options.excludedInterfaces.map((name) => rule(pass, { kind: "output", interface: name })),
    rule({ kind: "mark", mark: transparentMark }, tcp, { kind: "connection-mark", mark: transparentMark }),
  ];
}
