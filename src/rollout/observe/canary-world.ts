import type { Canary, JournalEntry } from "../../api/serin/index.ts";
import { isUnderWay } from "../decide/index.ts";
import { holding, movedRoutes, type CanaryWorld, type Subject } from "../plan/index.ts";
import type { CanarySources } from "./canary-world/canary-sources.ts";
import { deploymentInWorld } from "./canary-world/deployment-in-world.ts";
import { missingGrants } from "./canary-world/missing-grants.ts";
import { requireRouting } from "./canary-world/lost-objects.ts";
import { refuseSharedDeployment } from "./canary-world/other-canaries.ts";
import { routeInWorld } from "./canary-world/route-in-world.ts";
import {
  refuseOtherRoutes,
  refuseOtherWorkloads,
  requireHttp,
  requireLayer7,
  requireReaders,
  requireService,
} from "./canary-world/service-in-world.ts";
import { subjectsOf } from "./canary-world/subjects.ts";

/**
 * Gathers the input of a canary's plan. The former values of fields that the rollout has changed come from its journal.
 * Throws a user error that names the field and the object if the target is missing or cannot be moved. With `begins`,
 * also checks what must hold only before the first write. A rollout with a lost journal has begun although `journal` is
 * empty, so its caller passes false.
 */
export async function observeCanaryWorld(
  sources: CanarySources,
  canary: Canary,
  journal: readonly JournalEntry[],
  begins = journal.length === 0,
): Promise<CanaryWorld> {
  const { target } = canary.spec;
  const home = canary.metadata.namespace ?? "default";
  const moves = begins || isMoving(canary);
  await requireRouting(sources, canary, journal);
  if ("deployment" in target)
    return await deploymentWorld(sources, canary, target.deployment, { home, journal, begins });
  if ("services" in target) {
    const { service, stable, canary: to, port } = target.services;
    const [found] = await Promise.all([
      requireService(sources, "spec.target.services.service", home, service, port),
      requireService(sources, "spec.target.services.stable", home, stable, port),
      requireService(sources, "spec.target.services.canary", home, to, port),
    ]);
    if (moves) await requireLayer7(sources, "spec.target.services", found, begins);
    if (begins) {
      requireHttp("spec.target.services.port", found, { port });
      await refuseOtherRoutes(sources, "spec.target.services.service", canary, service);
    }
    return { routes: [], missingGrants: [], subjects: await subjectsOf(sources, canary), servicePorts: found.ports };
  }
  const moved = movedRoutes(canary);
  const routes = await Promise.all(moved.map(async (route) => await routeInWorld(sources, route, journal)));
  if (moves) for (const route of moved) await requireReaders(sources, route);
  const [grants, subjects] = await Promise.all([
    missingGrants(sources, canary, routes),
    subjectsOf(sources, canary, routes),
  ]);
  if (begins && !("virtualService" in target)) await requireCanaryServices(sources, target, subjects);
  return { routes, missingGrants: grants, subjects };
}

/** Whether a run is under way. Without a run, a Canary of a Deployment moves no requests. */
function isMoving({ status }: Canary): boolean {
  return status !== undefined && isUnderWay(status) && (status.run ?? 0) > 0;
}

/**
 * Throws if a Service of the canary does not exist. A VirtualService is not checked, because its hosts need not be
 * Services.
 */
async function requireCanaryServices(
  sources: CanarySources,
  target: Canary["spec"]["target"],
  subjects: readonly Subject[],
): Promise<void> {
  const [[kind, { canary }]] = Object.entries(target) as [[string, { readonly canary: { readonly port?: number } }]];
  for (const { canary: to } of subjects)
    await requireService(sources, `spec.target.${kind}.canary`, to.namespace, to.service ?? "", canary.port);
}

async function deploymentWorld(
  sources: CanarySources,
  canary: Canary,
  target: Extract<Canary["spec"]["target"], { deployment: unknown }>["deployment"],
  {
    home,
    journal,
    begins,
  }: { readonly home: string; readonly journal: readonly JournalEntry[]; readonly begins: boolean },
): Promise<CanaryWorld> {
  const service = await requireService(sources, "spec.target.deployment.service", home, target.service, target.port);
  if (target.gateways.length === 0 && (begins || isMoving(canary)))
    await requireLayer7(sources, "spec.target.deployment", service, begins);
  if (begins) {
    requireHttp(`spec.target.deployment.${target.port === undefined ? "service" : "port"}`, service, target);
    await refuseSharedDeployment(sources, canary, target.name);
    await refuseOtherRoutes(sources, "spec.target.deployment.service", canary, target.service);
    refuseOtherWorkloads(sources, service, target.name);
  }
  const deployment = await deploymentInWorld(sources, canary, target, service, journal);
  return {
    routes: [],
    missingGrants: [],
    subjects: [],
    deployment,
    candidate: deployment.candidate,
    idle: deployment.idle,
    ...(deployment.held === undefined ? {} : { held: deployment.held }),
    ...(deployment.isResumed === true ? { resumed: holding(deployment.object) } : {}),
  };
}
