import { dirname, join } from "node:path";
import { envString, type Environment } from "../../base/index.ts";

/** Where the agent and the application's containers meet. */
export interface ProxylessPaths {
  readonly bootstrapFile: string;
  readonly socket: string;
  /** Undefined: no certificates are written. */
  readonly certificateFolder: string | undefined;
  /** Whether this process runs in a pod, whose other containers then read the certificate as users of their own. */
  readonly inPod: boolean;
}

const defaultBootstrap = "/etc/istio/proxy/grpc-bootstrap.json";

/** `GRPC_XDS_BOOTSTRAP` and `OUTPUT_CERTS`, as in upstream's agent. The socket lies beside the bootstrap file. */
export function readProxylessPaths(env: Environment): ProxylessPaths {
  const bootstrapFile = envString(env, "GRPC_XDS_BOOTSTRAP", defaultBootstrap);
  const certificates = envString(env, "OUTPUT_CERTS", "");
  return {
    bootstrapFile,
    socket: join(dirname(bootstrapFile), "XDS"),
    certificateFolder: certificates === "" ? undefined : certificates,
    inPod: env["KUBERNETES_SERVICE_HOST"] !== undefined,
  };
}
