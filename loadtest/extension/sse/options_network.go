package sse

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strings"
)

// readTLS begins with k6's own settings (tlsAuth, insecureSkipTLSVerify, tlsVersion).
func (f *fields) readTLS(base *tls.Config) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		config = base.Clone()
	}
	value := f.get("tls")
	if value == nil {
		return config
	}
	t := readFields(f.runtime, "tls", value)
	if t.flag("insecureSkipVerify") {
		config.InsecureSkipVerify = true
	}
	config.ServerName = t.text("serverName", config.ServerName)
	if pem := t.text("ca", ""); pem != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			t.fail("ca has no certificate in PEM")
		}
	}
	cert, key := t.text("cert", ""), t.text("key", "")
	if cert != "" || key != "" {
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			t.fail("cert and key: %v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if err := t.check(); err != nil {
		f.fail("%v", err)
	}
	return config
}

const mostAddresses = 4096

// addresses takes single ones and ranges: '127.0.0.2-127.0.0.20'.
func (f *fields) addresses(name string) (list []net.IP) {
	for _, text := range f.texts(name) {
		first, last, isRange := strings.Cut(text, "-")
		from, err := netip.ParseAddr(strings.TrimSpace(first))
		to := from
		if err == nil && isRange {
			to, err = netip.ParseAddr(strings.TrimSpace(last))
		}
		if err != nil || to.Less(from) {
			f.fail("%s: '%s' is not an address or a range of them", name, text)
			return nil
		}
		for ; !to.Less(from); from = from.Next() {
			if len(list) == mostAddresses {
				f.fail("%s: at most %d addresses", name, mostAddresses)
				return nil
			}
			list = append(list, net.IP(from.AsSlice()))
		}
	}
	return list
}
