import { join } from "node:path";
import { certificateFiles } from "../agent/certificate-files.ts";
import { nodeId, type ProxySettings } from "../proxy-settings.ts";
import type { ProxylessPaths } from "./proxyless-paths.ts";

/** The content of the bootstrap file that gRPC libraries read (`GRPC_XDS_BOOTSTRAP`). */
export function grpcBootstrap(settings: ProxySettings, { socket }: ProxylessPaths): object {
  const folder = settings.certificateOutput?.folder;
  return {
    xds_servers: [
      { server_uri: `unix://${socket}`, channel_creds: [{ type: "insecure" }], server_features: ["xds_v3"] },
    ],
    // gRPC for Node refuses a node without a locality, so send an empty one. The control plane knows the pod's
    // locality.
    node: { id: nodeId(settings), locality: {}, metadata: { ...settings.metadata, GENERATOR: "grpc" } },
    ...(folder === undefined ? {} : { certificate_providers: certificateProviders(folder) }),
    server_listener_resource_name_template: "xds.istio.io/grpc/lds/inbound/%s",
  };
}

function certificateProviders(folder: string): object {
  return {
    default: {
      plugin_name: "file_watcher",
      config: {
        certificate_file: join(folder, certificateFiles.chain),
        private_key_file: join(folder, certificateFiles.key),
        ca_certificate_file: join(folder, certificateFiles.roots),
        refresh_interval: "900s",
      },
    },
  };
}
