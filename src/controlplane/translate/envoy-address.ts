/** An address of TCP, as messages hold it. */
export function tcpAddress(address: string, port: number) {
  return {
    case: "socketAddress" as const,
    value: { address, portSpecifier: { case: "portValue" as const, value: port } },
  };
}

/** An internal listener; `endpointId` tells endpoints behind one listener apart. */
export function internalAddress(serverListenerName: string, endpointId = "") {
  return {
    case: "envoyInternalAddress" as const,
    value: { addressNameSpecifier: { case: "serverListenerName" as const, value: serverListenerName }, endpointId },
  };
}
