import {
  guestRule,
  httpPort,
  objectsOf,
  otherNamespace,
  plainCanary,
  type SimApp,
  type SimCanary,
  type StepKind,
} from "./canary-shape.ts";
import type { SimStep } from "./scenario.ts";

/** The part of a Canary's spec that names the moved objects and how to move them. */
export function canarySpec(
  app: SimApp,
  { steps, minSamples }: { readonly steps: readonly SimStep[]; readonly minSamples: number },
): Readonly<Record<string, unknown>> {
  const { canary: shape = plainCanary } = app;
  return {
    target: targetOf(app, shape),
    steps: steps.map((step) => specStep(step)),
    checks: specChecks(shape, minSamples),
    ...(shape.affinity ? { sessionAffinity: {} } : {}),
    ...(shape.dynamic ? { dynamicStableScale: true } : {}),
    ...(shape.delayed ? { scaleDownDelaySeconds: 5 } : {}),
  };
}

export function specChecks({ protocol }: SimCanary, minSamples: number): readonly Readonly<Record<string, unknown>>[] {
  return [{ type: protocol === "http" ? "request-success-rate" : "tcp-connect-failures", minSamples }];
}

function targetOf(app: SimApp, shape: SimCanary): Readonly<Record<string, unknown>> {
  const { name, namespace } = app;
  const { canaryNamespace } = objectsOf(app);
  const backend = (role: string, at: string) => ({
    name: `${role}-${name}`,
    port: httpPort,
    ...(at === namespace ? {} : { namespace: at }),
  });
  const route = {
    name: shape.guestOf ?? name,
    rule: (shape.second ? 1 : 0) + (shape.guest === undefined ? 0 : 1),
    stable: backend("stable", namespace),
    canary: backend("canary", canaryNamespace),
  };
  switch (shape.target) {
    case "httpRoute":
      return { httpRoute: route };
    case "grpcRoute":
      return { grpcRoute: route };
    case "virtualService": {
      const ofSubset = shape.by === "subsets";
      const stable = ofSubset ? { host: name, subset: "v1" } : { host: `stable-${name}` };
      const canary = ofSubset ? { host: name, subset: "v2" } : { host: `canary-${name}` };
      const own = shape.guestOf === undefined ? "main" : guestRule(name);
      const moved = shape.protocol === "http" ? own : 0;
      return { virtualService: { name: route.name, protocol: shape.protocol, route: moved, stable, canary } };
    }
    case "services":
      return {
        services: {
          service: name,
          stable: `stable-${name}`,
          canary: `canary-${name}`,
          port: httpPort,
          routes: shape.routes,
        },
      };
    case "namespaces":
      return {
        namespaces: {
          stable: namespace,
          canary: otherNamespace(app),
          routes: [name, `api-${name}`].map((of) => ({ kind: shape.routes, name: of })),
        },
      };
    case "deployment":
      return {
        deployment: {
          name: `app-${name}`,
          service: name,
          routes: shape.routes,
          ...(shape.onePort ? { port: httpPort } : {}),
          ...(shape.first === "preview" ? { previewService: `preview-${name}` } : {}),
        },
      };
  }
}

/** A step with a match sends the requests with this header to the canary. */
export const matchedHeader = { name: "x-canary", value: "yes" };

const kinds: Readonly<Record<StepKind, Readonly<Record<string, unknown>>>> = {
  match: { match: { headers: [matchedHeader] } },
  mirror: { mirror: { percent: 50 } },
  scale: { scale: { replicas: 2 } },
  preview: { preview: true },
  experiment: { experiment: { durationSeconds: 4, replicas: 1, mirrorPercent: 30 } },
  iterations: { iterations: { count: 2, intervalSeconds: 3 } },
};

export function specStep({ weight, kind, holdMs, untilApproved }: SimStep): Readonly<Record<string, unknown>> {
  const pause = {
    ...(holdMs === undefined ? {} : { durationSeconds: Math.ceil(holdMs / 1000) }),
    ...(untilApproved === true ? { untilApproved } : {}),
  };
  return {
    ...(weight === undefined ? {} : { weight }),
    ...(kind === undefined ? {} : kinds[kind]),
    ...(Object.keys(pause).length === 0 ? {} : { pause }),
  };
}
