import { freePort } from "../../net/testing/index.ts";

export interface OwnPorts {
  readonly http: number;
  readonly grpc: number;
  readonly secure: number;
  readonly webhooks: number;
  readonly monitoring: number;
}

export async function freeOwnPorts(address: string): Promise<OwnPorts> {
  return {
    http: await freePort(address),
    grpc: await freePort(address),
    secure: await freePort(address),
    webhooks: await freePort(address),
    monitoring: await freePort(address),
  };
}

/**
 * The arguments of a control plane that listens on these ports of the address, and whose file of mesh settings does not
 * exist.
 */
export function discoveryArguments(address: string, ports: OwnPorts): string[] {
  return [
    "discovery",
    `--httpAddr=${address}:${ports.http}`,
    `--grpcAddr=${address}:${ports.grpc}`,
    `--secureGRPCAddr=${address}:${ports.secure}`,
    `--httpsAddr=${address}:${ports.webhooks}`,
    `--monitoringAddr=${address}:${ports.monitoring}`,
    "--meshConfig",
    "/nonexistent/mesh",
  ];
}
