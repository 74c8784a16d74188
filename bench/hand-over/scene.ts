import { writeFileSync } from "node:fs";
import type { NetworkNamespace } from "../../src/net/index.ts";
import type { Clients } from "./clients.ts";

export interface HandOver {
  /** The time from the first change until the old program got no more connections. */
  readonly movedMs: number;
  /** The time from the first change until the old program had ended. */
  readonly endedMs: number;
}

/** A program under load that can be replaced by a new one. */
export interface Scene {
  readonly clients: Clients;
  /** Starts a program beside the running one, and resolves when it is ready. */
  startNext(workers: number): Promise<void>;
  /** Moves the connections from the running program to the next one, and ends the running one. */
  handOver(): Promise<HandOver>;
  /** Kills the running program, and starts another one in its place. Connections that come meanwhile are lost. */
  replaceWithoutHandOver(workers: number): Promise<HandOver>;
  stop(): Promise<void>;
}

/** Lets clients with one address open many connections. */
export function allowManyConnections(...namespaces: readonly NetworkNamespace[]): void {
  for (const namespace of namespaces)
    namespace.enter(() => {
      writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "16000 65000");
      writeFileSync("/proc/sys/net/ipv4/tcp_tw_reuse", "1");
    });
}

/**
 * Lets a namespace with rules for NAT forget ended connections sooner, because the kernel tracks only a limited number.
 */
export function forgetConnections(...namespaces: readonly NetworkNamespace[]): void {
  for (const namespace of namespaces)
    namespace.enter(() => writeFileSync("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait", "5"));
}
