// A certificate authority of our own, made anew for each run: two X.509 certificates (RFC 5280) written
// in DER by hand, so that no tool and no key in the repository is needed.

import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** `{ ca, tls: { key, cert } }`, all PEM: the authority's certificate, and a server's for localhost. */
export function privateCa() {
  const authority = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const server = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuer = name("Tokenkeep test authority");
  const ca = certificate({
    subject: issuer,
    issuer,
    publicKey: authority.publicKey,
    signer: authority.privateKey,
    // basicConstraints CA, keyUsage keyCertSign.
    extensions: [extension("2.5.29.19", sequence(BOOLEAN_TRUE), true), extension("2.5.29.15", tlv(0x03, Buffer.from([2, 0x04])), true)],
  });
  const cert = certificate({
    subject: name("localhost"),
    issuer,
    publicKey: server.publicKey,
    signer: authority.privateKey,
    // basicConstraints, extKeyUsage serverAuth, subjectAltName.
    extensions: [
      extension("2.5.29.19", sequence(), true),
      extension("2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.1"))),
      extension("2.5.29.17", sequence(tlv(0x82, Buffer.from("localhost")), tlv(0x87, Buffer.from([127, 0, 0, 1])))),
    ],
  });
  return { ca: pem(ca), tls: { key: server.privateKey.export({ type: "pkcs8", format: "pem" }), cert: pem(cert) } };
}

const BOOLEAN_TRUE = Buffer.from([0x01, 0x01, 0xff]);

function certificate({ subject, issuer, publicKey, signer, extensions }) {
  const algorithm = sequence(oid("1.2.840.10045.4.3.2")); // ecdsa-with-SHA256
  const day = 86_400_000;
  const toBeSigned = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))), // version 3
    tlv(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(15)])),
    algorithm,
    issuer,
    sequence(utcTime(Date.now() - day), utcTime(Date.now() + 30 * day)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    tlv(0xa3, sequence(...extensions)),
  );
  const signature = sign("sha256", toBeSigned, signer);
  return sequence(toBeSigned, algorithm, bitString(signature));
}

function tlv(tag, content) {
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...parts) => tlv(0x30, Buffer.concat(parts));
const bitString = (bytes) => tlv(0x03, Buffer.concat([Buffer.from([0]), bytes]));
const extension = (id, content, critical = false) => sequence(oid(id), ...(critical ? [BOOLEAN_TRUE] : []), tlv(0x04, content));
const name = (common) => sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0c, Buffer.from(common)))));
const utcTime = (time) => tlv(0x17, Buffer.from(`${new Date(time).toISOString().replace(/[-:T]/g, "").slice(2, 14)}Z`));

function oid(text) {
  const [first, second, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const number of rest) {
    const groups = [number & 127];
    for (let left = number >> 7; left > 0; left >>= 7) groups.unshift((left & 127) | 128);
    bytes.push(...groups);
  }
  return tlv(0x06, Buffer.from(bytes));
}

function pem(der) {
  return `-----BEGIN CERTIFICATE-----\n${der.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
}
