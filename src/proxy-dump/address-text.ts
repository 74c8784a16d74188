/** Envoy's `Address`, in JSON. */
export interface Address {
  readonly socketAddress?: { readonly address?: string; readonly portValue?: number };
  readonly pipe?: { readonly path?: string };
  readonly envoyInternalAddress?: { readonly serverListenerName?: string; readonly endpointId?: string };
}

/**
 * An address without its port: an IP address, `unix://…` for a Unix socket, or `envoy://…` for an internal listener.
 */
export function addressText(address: Address = {}): string {
  const { socketAddress, pipe, envoyInternalAddress: internal } = address;
  if (socketAddress !== undefined) return socketAddress.address ?? "";
  if (pipe !== undefined) return `unix://${pipe.path ?? ""}`;
  if (internal !== undefined) return `envoy://${internal.serverListenerName ?? ""}/${internal.endpointId ?? ""}`;
  return "unknown";
}
