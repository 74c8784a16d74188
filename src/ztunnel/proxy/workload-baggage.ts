import { formatBaggage, type Headers } from "../../wire/hbone/index.ts";
import type { Workload } from "../state/model.ts";

/**
 * The encoded metadata of each workload, and the response headers with it. A changed workload is a new object, so no
 * entry becomes outdated.
 */
const known = new WeakMap<Workload, string>();
const answers = new WeakMap<Workload, Headers>();

/** Returns the workload's metadata, which each end of an HBONE connection sends to the other. */
export function workloadBaggage(workload: Workload): string {
  let baggage = known.get(workload);
  if (baggage === undefined) known.set(workload, (baggage = baggageOf(workload)));
  return baggage;
}

/** Returns the headers of the response to a tunnel for this workload. Each call returns the same object. */
export function answerHeaders(workload: Workload): Headers {
  let headers = answers.get(workload);
  if (headers === undefined) answers.set(workload, (headers = [["baggage", workloadBaggage(workload)]]));
  return headers;
}

function baggageOf(workload: Workload): string {
  return formatBaggage({
    cluster: workload.clusterId,
    namespace: workload.namespace,
    workloadName: workload.workloadName,
    workloadType: workload.workloadType,
    serviceName: workload.canonicalName,
    serviceVersion: workload.canonicalRevision,
    region: workload.locality.region,
    zone: workload.locality.zone,
  });
}
