# Files of www/: the pages.  `make` alone never needs node; `make www` builds
# them into www/dist of the source tree, from where install and dist take them.
WWW_FILES = www/.npmrc www/README.md www/index.html www/package.json \
	www/package-lock.json www/tsconfig.json www/vite.config.ts \
	www/vitest.config.ts
EXTRA_DIST += $(WWW_FILES)

.PHONY: www
www:
	cd '$(srcdir)/www' && npm ci --no-audit --no-fund && npm run build

dist-hook: www-dist-hook
.PHONY: www-dist-hook
www-dist-hook:
	for d in src public tools; do \
		cp -R '$(srcdir)/www/'$$d '$(distdir)/www/' || exit 1; done
	if test -f '$(srcdir)/www/dist/index.html'; then \
		cp -R '$(srcdir)/www/dist' '$(distdir)/www/'; fi

install-data-local: www-install
.PHONY: www-install
www-install:
	if test -f '$(srcdir)/www/dist/index.html'; then \
		(cd '$(srcdir)/www/dist' && find . -type f) | \
		while read -r f; do \
			$(MKDIR_P) "$(DESTDIR)$(pkgdatadir)/www/$$(dirname "$$f")" && \
			$(INSTALL_DATA) '$(srcdir)/www/dist/'"$$f" \
			    "$(DESTDIR)$(pkgdatadir)/www/$$f" || exit 1; done; fi

uninstall-local: www-uninstall
.PHONY: www-uninstall
www-uninstall:
	rm -rf '$(DESTDIR)$(pkgdatadir)/www'
