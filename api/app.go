package api

func (a *API) appEndpoints() []endpoint {
	return nil
}
