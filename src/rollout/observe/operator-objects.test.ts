import assert from "node:assert/strict";
import { test } from "node:test";
import { reference } from "../plan/index.ts";
import { operatorObjectOf } from "./operator-objects.ts";

const metadata = { name: "istiod", namespace: "istio-system" };

test("objects of an IstioOperator or a controller name their writer, and other objects name none", () => {
  const labels = {
    "install.operator.istio.io/owning-resource": "mesh",
    "install.operator.istio.io/owning-resource-namespace": "operators",
  };
  assert.deepEqual(
    operatorObjectOf({ metadata: { ...metadata, labels } }),
    reference("install.istio.io/v1alpha1", "IstioOperator", "mesh", "operators"),
  );
  const owner = { apiVersion: "istio.banzaicloud.io/v1beta1", kind: "Istio", name: "sample", uid: "1" };
  assert.deepEqual(
    operatorObjectOf({ metadata: { ...metadata, ownerReferences: [{ ...owner, controller: true }] } }),
    reference("istio.banzaicloud.io/v1beta1", "Istio", "sample", "istio-system"),
  );
  assert.equal(operatorObjectOf({ metadata: { ...metadata, ownerReferences: [owner] } }), undefined);
  assert.equal(operatorObjectOf({ metadata }), undefined);
});
