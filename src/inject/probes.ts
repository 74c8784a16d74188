import type { Container, LifecycleHandler, Pod, Probe } from "../api/kubernetes/index.ts";

const proxyContainer = "istio-proxy";
const kinds = { readinessProbe: "readyz", livenessProbe: "livez", startupProbe: "startupz" } as const;
const hooks = { preStop: "prestopz", postStart: "poststartz" } as const;

/** What the proxy asks of the application in the kubelet's place, by the path that the kubelet asks the proxy. */
interface Prober {
  readonly httpGet?: Probe["httpGet"];
  readonly tcpSocket?: Probe["tcpSocket"];
  readonly grpc?: Probe["grpc"];
  readonly timeoutSeconds?: number;
}

/** The value of ISTIO_KUBE_APP_PROBERS: every probe that {@link rewriteProbes} changes; undefined for none. */
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

/** Sends probes and HTTP or TCP hooks of the application to the proxy's status port, which mutual TLS does not guard. */
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

/** Commands stay the kubelet's own. */
function isAsked(probe: Probe | LifecycleHandler): boolean {
  return probe.httpGet !== undefined || probe.tcpSocket !== undefined || ("grpc" in probe && probe.grpc !== undefined);
}

/** The proxy speaks TLS to the application where that is asked for; the kubelet speaks plain HTTP to the proxy. */
function proxied(get: Probe["httpGet"], path: string, port: number): NonNullable<Probe["httpGet"]> {
  const { scheme, ...rest } = get ?? {};
  return { ...rest, path, port, ...(scheme === undefined ? {} : { scheme: "HTTP" }) };
}

/** With the port as a number; undefined when there is nothing to ask, the name is unknown, or it was rewritten before. */
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
