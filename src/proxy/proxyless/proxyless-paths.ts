import { dirname, join } from "node:path";
import { envString, type Environment } from "../../base/index.ts";

/** The files that the agent and the application's containers share. */
export interface ProxylessPaths {
  readonly bootstrapFile: string;
  readonly socket: string;
}

const defaultBootstrap = "/etc/istio/proxy/grpc-bootstrap.json";

/**
 * Reads the path of the bootstrap file from `GRPC_XDS_BOOTSTRAP`, as the agent of upstream Istio does. The socket lies
 * beside the bootstrap file.
 */
export function readProxylessPaths(env: Environment): ProxylessPaths {
  const bootstrapFile = envString(env, "GRPC_XDS_BOOTSTRAP", defaultBootstrap);
  return {
    bootstrapFile,
    socket: join(dirname(bootstrapFile), "XDS"),
  };
}
