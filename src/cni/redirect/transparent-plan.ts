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
 * Returns the rules of mode TPROXY. Inbound connections reach the proxy with unchanged addresses, and the proxy
 * connects to the application from the client's address. The application's packets to that address must return to the
 * proxy. So the kernel stores the mark of the proxy's packets with the connection, and the rules give this mark to the
 * application's packets too.
 */
export function* planTransparent(options: RedirectOptions): Generator<RedirectRule> {
  if (options.inboundPorts.length === 0) return;
  yield* arriving(options);
  yield* leaving(options);
}

function* arriving(options: RedirectOptions): Generator<RedirectRule> {
  const rule = (verdict: RedirectVerdict, ...when: readonly RedirectCondition[]): RedirectRule => ({
    chain: "mark-prerouting",
    when,
    verdict,
  });
  const { inboundPorts, inboundPort, tunnelPort } = options;
  // Intercepts the matching packets. While the proxy does not listen, drops them, so that no connection bypasses it.
  const intercept = (...when: readonly RedirectCondition[]): RedirectRule[] => [
    rule({ kind: "intercept", port: inboundPort, mark: transparentMark }, ...when),
    rule({ kind: "drop" }, ...when),
  ];
  for (const names of [options.excludedInterfaces, options.guestInterfaces])
    for (const name of names) yield rule(pass, { kind: "input", interface: name });
  yield rule({ kind: "mark-connection", mark: transparentMark }, fromLoopback, tcp, {
    kind: "mark",
    mark: transparentMark,
  });
  // Let the pod's packets to itself pass. The chain `output` has already redirected the packets that the proxy must
  // see.
  yield rule(pass, fromLoopback);
  yield rule(pass, tcp, { kind: "port", port: tunnelPort });
  // Intercept all packets from clients, and not only SYNs: if the kernel opens a connection with a SYN cookie, it does
  // not track the connection. The second condition is for SYNs that look like packets of an existing connection,
  // because a client has made the kernel believe that the pod opened one.
  const fromClients: readonly RedirectCondition[] = [{ kind: "opener" }, { kind: "start" }];
  if (inboundPorts === "*") {
    for (const port of options.excludedInboundPorts) yield rule(pass, tcp, { kind: "port", port });
    for (const condition of fromClients) yield* intercept(tcp, condition);
  } else
    for (const port of inboundPorts)
      for (const condition of fromClients) yield* intercept(tcp, { kind: "port", port }, condition);
}

function* leaving(options: RedirectOptions): Generator<RedirectRule> {
  const rule = (verdict: RedirectVerdict, ...when: readonly RedirectCondition[]): RedirectRule => ({
    chain: "mark-output",
    when,
    verdict,
  });
  for (const name of options.excludedInterfaces) yield rule(pass, { kind: "output", interface: name });
  yield rule({ kind: "mark", mark: transparentMark }, tcp, { kind: "connection-mark", mark: transparentMark });
}
