import type { Container, LifecycleHandler, Pod, Probe } from "../api/kubernetes/index.ts";

const proxyContainer = "istio-proxy";
const kinds = { readinessProbe: "readyz", livenessProbe: "livez", startupProbe: "startupz" } as const;
/** The proxy's environment variable with the application's original probes, which the proxy executes. */
export const probersVariable = "ISTIO_KUBE_APP_PROBERS";
const hooks = { preStop: "prestopz", postStart: "poststartz" } as const;

/**
 * An original probe of the application. The kubelet requests a path of the proxy, which then probes the application.
 */
interface Prober {
  readonly httpGet?: Probe["httpGet"];
  readonly tcpSocket?: Probe["tcpSocket"];
  readonly grpc?: Probe["grpc"];
  readonly timeoutSeconds?: number;
}

/**
 * Returns the value of ISTIO_KUBE_APP_PROBERS, or undefined if the application has no such probes. Call it before
 * {@link rewriteProbes}, which replaces these probes.
 */
export function applicationProbers(pod: Pod, statusPort: number): string | undefined {
  const probers: Record<string, Prober> = {};
  for (const container of applicationContainers(pod)) {
    for (const [field, path] of entriesOf(kinds)) {
      const probe = container[field];
      if (probe === undefined) continue;
      const { httpGet, tcpSocket, grpc, timeoutSeconds } = probe;
      const prober = resolved(
        {
          ...(httpGet === undefined ? {} : { httpGet }),
          ...(tcpSocket === undefined ? {} : { tcpSocket }),
          ...(grpc === undefined ? {} : { grpc }),
        },
        container,
        statusPort,
      );
      if (prober !== undefined)
        probers[pathOf(container, path)] = { ...prober, ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) };
    }
    for (const [field, path] of entriesOf(hooks)) {
      const { httpGet, tcpSocket } = container.lifecycle?.[field] ?? {};
      const prober = resolved(
        { ...(httpGet === undefined ? {} : { httpGet }), ...(tcpSocket === undefined ? {} : { tcpSocket }) },
        container,
        statusPort,
      );
      if (prober !== undefined) probers[pathOf(container, path)] = prober;
    }
  }
  return Object.keys(probers).length === 0 ? undefined : JSON.stringify(probers);
}

/**
 * Directs the application's network probes, and its HTTP and TCP hooks, to the proxy's status port, which needs no
 * mutual TLS.
 */
export function rewriteProbes(pod: Pod, statusPort: number): Pod {
  const rewrite = (containers: Container[] | undefined): Container[] | undefined =>
    containers?.map((container) =>
      container.name === proxyContainer ? container : rewriteContainer(container, statusPort),
    );
  if (pod.spec === undefined) return pod;
  const { containers, initContainers } = pod.spec;
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: rewrite(containers) ?? [],
      ...(initContainers === undefined ? {} : { initContainers: rewrite(initContainers) ?? [] }),
    },
  };
}

function rewriteContainer(container: Container, statusPort: number): Container {
  const rewritten: Container = { ...container };
  for (const [field, path] of entriesOf(kinds)) {
    const probe = container[field];
    if (probe === undefined || !isAsked(probe)) continue;
    const { tcpSocket: _tcp, grpc: _grpc, ...rest } = probe;
    rewritten[field] = { ...rest, httpGet: proxied(probe.httpGet, pathOf(container, path), statusPort) };
  }
  if (container.lifecycle === undefined) return rewritten;
  const lifecycle = { ...container.lifecycle };
  for (const [field, path] of entriesOf(hooks)) {
    const hook = lifecycle[field];
    if (hook === undefined || !isAsked(hook)) continue;
    const { tcpSocket: _tcp, ...rest } = hook;
    lifecycle[field] = { ...rest, httpGet: proxied(hook.httpGet, pathOf(container, path), statusPort) };
  }
  return { ...rewritten, lifecycle };
}

/**
 * Restores the application's own probes and hooks. Named ports come back as numbers. `text` is the value of {@link
 * probersVariable}.
 */
export function restoreProbes(pod: Pod, text: string | undefined): Pod {
  const probers = readProbers(text);
  if (probers === undefined || pod.spec === undefined) return pod;
  // Restore each recorded probe at most once. Otherwise many probes with the same path could copy a long record until
  // memory runs out.
  const left = new Map(Object.entries(probers));
  const restored = <Handler extends Probe | LifecycleHandler>(handler: Handler): Handler => {
    const path = handler.httpGet?.path ?? "";
    const prober = path.startsWith("/app-health/") ? left.get(path) : undefined;
    if (typeof prober !== "object" || prober === null) return handler;
    left.delete(path);
    const { httpGet: _proxied, ...rest } = handler;
    const { timeoutSeconds: _kept, ...own } = prober;
    return { ...rest, ...own } as Handler;
  };
  const restore = (container: Container): Container => {
    const own: Container = { ...container };
    for (const [field] of entriesOf(kinds)) {
      const probe = container[field];
      if (probe !== undefined) own[field] = restored(probe);
    }
    if (container.lifecycle === undefined) return own;
    const lifecycle = { ...container.lifecycle };
    for (const [field] of entriesOf(hooks)) {
      const hook = lifecycle[field];
      if (hook !== undefined) lifecycle[field] = restored(hook);
    }
    return { ...own, lifecycle };
  };
  const { containers, initContainers } = pod.spec;
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: containers.map(restore),
      ...(initContainers === undefined ? {} : { initContainers: initContainers.map(restore) }),
    },
  };
}

/** Parses the variable's text. Any user may have written it, so invalid text gives undefined. */
function readProbers(text: string | undefined): Readonly<Record<string, Prober>> | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, Prober>) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the probe or hook connects to the application. Others run a command in the container, and need no proxy. */
function isAsked(probe: Probe | LifecycleHandler): boolean {
  return probe.httpGet !== undefined || probe.tcpSocket !== undefined || ("grpc" in probe && probe.grpc !== undefined);
}

/**
 * The request that the kubelet sends to the proxy instead of the application. It uses plain HTTP, even if the proxy
 * then uses TLS to the application.
 */
function proxied(get: Probe["httpGet"], path: string, port: number): NonNullable<Probe["httpGet"]> {
  const { scheme, ...rest } = get ?? {};
  return { ...rest, path, port, ...(scheme === undefined ? {} : { scheme: "HTTP" }) };
}

/**
 * Returns the probe with a numeric port. Returns undefined if there is no target, the port's name is unknown, or the
 * port is already the status port.
 */
function resolved(prober: Prober, container: Container, statusPort: number): Prober | undefined {
  if (prober.grpc !== undefined) return prober;
  const target = prober.httpGet ?? prober.tcpSocket;
  if (target === undefined) return undefined;
  const port =
    typeof target.port === "number"
      ? target.port
      : container.ports?.find((candidate) => candidate.name === target.port)?.containerPort;
  if (port === undefined || port === statusPort) return undefined;
  return prober.httpGet === undefined
    ? { tcpSocket: { ...prober.tcpSocket, port } }
    : { httpGet: { ...prober.httpGet, port } };
}

function applicationContainers(pod: Pod): Container[] {
  return [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].filter(
    (container) => container.name !== proxyContainer,
  );
}

function pathOf(container: Container, kind: string): string {
  return `/app-health/${container.name}/${kind}`;
}

function entriesOf<Key extends string>(map: Readonly<Record<Key, string>>): [Key, string][] {
  return Object.entries(map) as [Key, string][];
}
