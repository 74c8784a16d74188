export function tcpAddress(address: string, port: number) {
  return {
    case: "socketAddress" as const,
    value: { address, portSpecifier: { case: "portValue" as const, value: port } },
  };
}

/** The address of an internal listener. `endpointId` distinguishes endpoints behind one listener. */
export function internalAddress(serverListenerName: string, endpointId = "") {
  return {
    case: "envoyInternalAddress" as const,
    value: { addressNameSpecifier: { case: "serverListenerName" as const, value: serverListenerName }, endpointId },
  };
}
