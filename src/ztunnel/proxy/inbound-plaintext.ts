import { messageOf } from "../../base/index.ts";
import { connectTcp, originalDestination, peerOf, type ByteStream } from "../../net/index.ts";
import { authorize, stillAllowed, type ConnectionFacts } from "../policy/authorize.ts";
import { guessService } from "./guess-service.ts";
import { relayRecorded } from "./outbound.ts";
import {
  connectTimeoutMs,
  hasLeft,
  isIllegalPort,
  ownWorkload,
  policyTimeoutMs,
  selfCall,
  type PodContext,
} from "./pod-context.ts";

/**
 * Handles a connection that reached the pod without HBONE: checks policies, then connects to the application from the
 * client's address.
 */
export async function serveInboundPlaintext(pod: PodContext, client: ByteStream): Promise<void> {
  const { state, telemetry, tracker, ports, mark, network, clock } = pod.environment;
  const source = peerOf(client);
  if (hasLeft(source)) return client.destroy();
  const destination = originalDestination({ fd: client.fd, remote: source }) ?? client.local;
  const refuse = (error: string) => {
    telemetry.denied("destination", source, destination, error);
    client.destroy({ reset: true });
  };
  client.setHandler({ data() {}, end() {}, drain() {}, close() {} });
  if (isIllegalPort(ports, destination.port)) return refuse(selfCall);
  let workload;
  try {
    workload = await ownWorkload(pod);
  } catch (error) {
    return refuse(messageOf(error));
  }
  const { applicationTunnel } = workload;
  // If the application tunnel names no port, the ztunnel writes the PROXY header on every port of the workload.
  const headerPort = applicationTunnel?.protocol === "PROXY" ? (applicationTunnel.port ?? destination.port) : undefined;
  if (headerPort === destination.port)
    return refuse(
      `port ${destination.port} takes the PROXY header with which this ztunnel names a tunnel's client, and a plaintext client could forge it`,
    );
  const facts: ConnectionFacts = {
    sourceAddress: source.address,
    destinationAddress: destination.address,
    destinationPort: destination.port,
    sourceIdentity: undefined,
  };
  const current = () => state.workloadByUid(workload.uid) ?? workload;
  const verdict = () => authorize(state, current(), facts);
  await state.waitForPolicies(current, policyTimeoutMs, clock);
  using _tracked = tracker.open(
    { pod, direction: "inbound", protocol: "TCP", source, destination, stillAllowed: () => stillAllowed(verdict()) },
    (error) => client.destroy({ reset: true, error }),
    clock.nowMs(),
  );
  const peer = state.workloadByAddress(network, source.address);
  const service = guessService(state, workload, destination.port, undefined);
  const record = telemetry.open({
    reporter: "destination",
    sourceAddress: source,
    destinationAddress: destination,
    ...(peer === undefined ? {} : { source: peer }),
    destination: workload,
    ...(service === undefined ? {} : { service }),
    mutualTls: false,
  });
  const decided = verdict();
  if (!decided.allowed) {
    record.finish(`connection closed due to policy rejection: ${decided.reason}`, "DENY");
    client.destroy({ reset: true });
    return;
  }
  try {
    const server = await connectTcp({
      address: destination.address,
      port: destination.port,
      mark,
      sourceAddress: source.address,
      timeoutMs: connectTimeoutMs,
      namespaceFd: pod.namespaceFd,
    });
    await relayRecorded(client, server, record);
  } catch (error) {
    record.finish(`connection failed: ${messageOf(error)}`);
    client.destroy({ reset: true });
  }
}
